import assert from "node:assert/strict";
import { test } from "node:test";

import { mapChart, normChart, normRows, pointsOf } from "../../static/js/lib/discovery.js";

const WORDS = { type: "Type", unlabelled: "unlabelled", norm: "norm", share: "share" };
const point = (image, type, name = "") => ({ image, x: image, y: -image, type, class: name, norm: 1e-6 });

test("each type is a trace of its own points, and each point knows its image", () => {
  const { traces } = mapChart([point(7, 1, "crack"), point(8, 0), point(9, 1)], WORDS);
  assert.deepEqual(traces.map((trace) => trace.name), ["Type 1 (1)", "Type 2 (2)"]);
  assert.deepEqual(traces[1].customdata, [7, 9]);
  assert.deepEqual(traces[1].text, ["crack", "unlabelled"]);
});

test("no two of many types look alike", () => {
  const { traces } = mapChart(Array.from({ length: 50 }, (_, type) => point(type, type)), WORDS);
  assert.equal(new Set(traces.map(({ marker }) => `${marker.color} ${marker.symbol}`)).size, 50);
});

test("a histogram shows shares of each class over all its bins", () => {
  const norms = { edges: [1, 10, 100], classes: { OK: { counts: [3, 1], images: 4 }, crack: { counts: [0, 2], images: 2 } } };
  const { traces, layout } = normChart(norms, WORDS);
  assert.deepEqual(traces[0].y, [0.75, 0.25, 0]);
  assert.deepEqual(traces[1].y, [0, 1, 0]);
  assert.equal(traces[0].y.length, norms.edges.length);
  assert.equal(layout.xaxis.type, "log");
  assert.notEqual(traces[0].line.color, traces[1].line.color);
});

test("table 3 has mean and variance in powers of ten", () => {
  assert.deepEqual(normRows({ classes: { OK: { images: 3, mean: 0.00028, variance: 2.7e-8 } } }), [["OK", "3", "2.80e-4", "2.70e-8"]]);
});

test("chosen images stand out in every trace, and without any all do", () => {
  const { traces } = mapChart([point(7, 1), point(8, 0), point(9, 1)], WORDS);
  assert.deepEqual(pointsOf(traces, new Set([9, 8])), [[0], [1]]);
  assert.deepEqual(pointsOf(traces, new Set([7])), [[], [0]]);
  assert.deepEqual(pointsOf(traces, new Set()), [null, null]);
});
