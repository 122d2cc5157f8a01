import assert from "node:assert/strict";
import { test } from "node:test";

import * as selection from "../../static/js/pages/gallery_state.js";

const IDS = [10, 11, 12, 13, 14, 15, 16];
const begin = () => selection.begin(IDS);
const cursorOf = (state) => state.ids[state.cursor];

test("arrows move by one and by a row, and not beyond the ends", () => {
  assert.equal(selection.stepOf("ArrowDown", 3), 3);
  assert.equal(selection.stepOf("ArrowLeft", 3), -1);
  assert.equal(selection.stepOf("x", 3), 0);
  assert.equal(cursorOf(selection.moved(begin(), 3)), 13);
  assert.equal(cursorOf(selection.moved(begin(), -1)), 10);
  assert.equal(cursorOf(selection.moved(selection.moved(begin(), 6), 3)), 16);
});

test("without a selection a key acts on the image under the cursor", () => {
  assert.deepEqual(selection.targets(selection.moved(begin(), 2)), [12]);
  assert.deepEqual(selection.targets(selection.begin([])), []);
});

test("shift selects everything between the anchor and the cursor, and shrinks again", () => {
  let state = selection.moved(begin(), 1);
  state = selection.moved(state, 3, true);
  assert.deepEqual(selection.targets(state), [11, 12, 13, 14]);
  state = selection.moved(state, -1, true);
  assert.deepEqual(selection.targets(state), [11, 12, 13]);
  state = selection.moved(state, -3, true);
  assert.deepEqual(selection.targets(state), [10, 11]);
});

test("moving without shift drops the selection", () => {
  const state = selection.moved(selection.moved(begin(), 2, true), 1);
  assert.deepEqual(selection.targets(state), [13]);
});

test("a click puts the cursor, shift-click selects to it, ctrl-click adds and takes away", () => {
  let state = selection.clicked(begin(), 12);
  assert.deepEqual(selection.targets(state), [12]);
  state = selection.clicked(state, 14, { isExtending: true });
  assert.deepEqual(selection.targets(state), [12, 13, 14]);
  state = selection.clicked(state, 13, { isToggling: true });
  assert.deepEqual(selection.targets(state), [12, 14]);
  state = selection.clicked(state, 99);
  assert.deepEqual(selection.targets(state), [12, 14]);
});

test("a label moves on to the next image, but stays with a selection", () => {
  assert.equal(cursorOf(selection.afterLabelling(begin())), 11);
  const many = selection.moved(begin(), 2, true);
  assert.equal(selection.afterLabelling(many), many);
});

test("more images come in behind without losing cursor or selection", () => {
  const state = selection.extended(selection.moved(begin(), 2, true), [...IDS, 17]);
  assert.deepEqual(selection.targets(state), [10, 11, 12]);
  assert.equal(selection.targets(selection.allSelected(state)).length, 8);
  assert.deepEqual(selection.targets(selection.noneSelected(state)), [12]);
});
