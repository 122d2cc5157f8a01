import assert from "node:assert/strict";
import { test } from "node:test";
import { chartOf, stagesOf } from "../../static/js/lib/curves.js";

const CURVES = {
  "Fold 1 of 2: locate | Mean heat, NG": [[1, 0.5], [2, 0.4]],
  "Fold 1 of 2: locate | Collaborative factor": [[1, 8], [2, 7]],
  "Fold 1 of 2: decide | Loss": [[1, 0.7]],
};

test("stages come in the order in which they began", () => {
  assert.deepEqual(stagesOf(CURVES), ["Fold 1 of 2: locate", "Fold 1 of 2: decide"]);
});

test("a chart has the series of its stage alone, by their short names", () => {
  const { traces } = chartOf(CURVES, "Fold 1 of 2: decide", false);
  assert.deepEqual(traces.map(({ name, x, y }) => [name, x, y]), [["Loss", [1], [0.7]]]);
});

test("a series that would flatten the others goes to an axis of its own", () => {
  const { traces, layout } = chartOf(CURVES, "Fold 1 of 2: locate", false);
  assert.deepEqual(traces.map(({ yaxis }) => yaxis), ["y", "y2"]);
  assert.equal(layout.yaxis2.side, "right");
  assert.equal(chartOf(CURVES, "Fold 1 of 2: decide", false).layout.yaxis2, undefined);
});

test("a series without a stage is shown under none", () => {
  assert.deepEqual(stagesOf({ loss: [[1, 2]] }), [""]);
  assert.equal(chartOf({ loss: [[1, 2]] }, "", true).layout.yaxis.type, "log");
});
