import assert from "node:assert/strict";
import { test } from "node:test";
import { SCALES, colourTable, colourise, enlarge, fitted } from "../../static/js/lib/heatmap.js";

const LOOK = { table: colourTable("inferno"), opacity: 1, isMasked: false, maskFrom: 128 };

test("a map at its own size stays as it is", () => {
  const values = Uint8Array.from([0, 50, 100, 250, 7, 9]);
  assert.deepEqual([...enlarge(values, 2, 3, 2, 3)], [...values]);
});

test("enlarging by two matches a bilinear resize worked by hand", () => {
  // Pixel centres lie at -0.25, 0.25, 0.75, 1.25 of the two columns: 0, 25, 75, 100 of the way, edges held.
  assert.deepEqual([...enlarge(Uint8Array.from([0, 100]), 1, 2, 1, 4)], [0, 25, 75, 100]);
});

test("rows and columns are not mixed up", () => {
  const enlarged = enlarge(Uint8Array.from([0, 0, 200, 200, 0, 0]), 3, 2, 6, 2);
  assert.deepEqual([...enlarged], [0, 0, 50, 50, 150, 150, 150, 150, 50, 50, 0, 0]);
});

test("the peak stays where the map has it", () => {
  const values = new Uint8Array(64);
  values[8 * 5 + 2] = 255;
  const enlarged = enlarge(values, 8, 8, 80, 80);
  const peak = enlarged.indexOf(Math.max(...enlarged));
  const [row, column] = [Math.floor(peak / 80), peak % 80];
  assert.ok(row >= 50 && row < 60 && column >= 20 && column < 30, `${row}, ${column}`);
});

test("faint values are faint, strong ones opaque", () => {
  const rgba = colourise(Uint8Array.from([0, 100, 255]), LOOK);
  assert.deepEqual([rgba[3], rgba[7], rgba[11]], [0, 128, 255]);
});

test("opacity scales all of it", () => {
  assert.equal(colourise(Uint8Array.from([255]), { ...LOOK, opacity: 0.5 })[3], 128);
});

test("a mask hides what is below it and shows the rest alike", () => {
  const rgba = colourise(Uint8Array.from([127, 128, 255]), { ...LOOK, isMasked: true, opacity: 0.6 });
  assert.deepEqual([rgba[3], rgba[7], rgba[11]], [0, 153, 153]);
});

test("every colour scale runs over all 256 values without a gap", () => {
  for (const name of SCALES) {
    const table = colourTable(name);
    assert.equal(table.length, 768);
    for (let index = 3; index < 768; index++) assert.ok(Math.abs(table[index] - table[index - 3]) <= 8, `${name} ${index}`);
  }
});

test("an unknown colour scale is drawn in the first one", () => {
  assert.deepEqual(colourTable("nothing"), colourTable("inferno"));
});

test("an image is fitted into its box without being stretched", () => {
  assert.deepEqual(fitted(100, 200, 300, 300), { height: 150, width: 300, share: 1.5 });
  assert.deepEqual(fitted(1408, 512, 400, 900), { height: 400, width: 145, share: 400 / 1408 });
});
