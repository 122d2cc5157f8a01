import assert from "node:assert/strict";
import { test } from "node:test";
import { learningChart, precisionRecallChart, rocChart } from "../../static/js/lib/evaluation.js";
import { judge, sortScores } from "../../static/js/lib/threshold.js";

const COLOURS = { line: "#000", mark: "#f00", grid: "#888" };
const roc = { threshold: [null, 0.9, 0.2], overkill: [0, 0, 1], recall: [0, 0.5, 1] };

test("the dot on the ROC is where the threshold's rates are", () => {
  const judged = judge(sortScores([0.1, 0.2, 0.3, 0.6], [0.5, 0.9]), 0.55);
  const dot = rocChart(roc, judged, COLOURS).traces.at(-1);
  assert.deepEqual([dot.x, dot.y], [[0.25], [0.5]]);
});

test("without NG images there is no dot", () => {
  const judged = judge(sortScores([0.1, 0.6], []), 0.55);
  assert.deepEqual(rocChart(roc, judged, COLOURS).traces.at(-1).x, []);
});

test("above every score there is no precision, so no dot either", () => {
  const judged = judge(sortScores([0.1], [0.5]), 2);
  const curve = { threshold: [0.5], recall: [1], precision: [1] };
  assert.deepEqual(precisionRecallChart(curve, judged, COLOURS).traces.at(-1).y, []);
});

test("the point above all scores has words for its threshold", () => {
  const line = rocChart(roc, judge(sortScores([], []), 0), COLOURS).traces[1];
  assert.deepEqual(line.text, ["above all", "0.9000", "0.2000"]);
});

test("a learning curve's bars reach from low to high, and what a count can't tell is left out", () => {
  const summary = { mean: 0.8, low: 0.7, high: 0.85, least: 0.6, most: 0.9 };
  const { traces, layout } = learningChart({
    figures: ["auroc"],
    points: [
      { ng: 5, fits: 3, is_all: false, auroc: null },
      { ng: 33.5, fits: 9, is_all: true, auroc: summary },
    ],
  });
  assert.deepEqual(traces[0].x, [33.5]);
  assert.ok(Math.abs(traces[0].error_y.array[0] - 0.05) < 1e-9);
  assert.ok(Math.abs(traces[0].error_y.arrayminus[0] - 0.1) < 1e-9);
  assert.equal(traces[0].name, "AUROC");
  assert.ok(layout.yaxis.range[0] < 0.7);
  assert.match(traces[0].text[0], /9 fits, all NG/);
});
