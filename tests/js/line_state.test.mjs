import assert from "node:assert/strict";
import { test } from "node:test";
import {
  KEPT_LATENCIES, KEPT_PARTS, frozen, initialState, quantile, scorePosition, shownPart, withPart, withSummary, yieldShare,
} from "../../static/js/lib/line_state.js";

const part = (sequence, verdict = "OK", more = {}) => ({ sequence, verdict, total_ms: sequence, origin: "line", serial: "", score: 0.1, ...more });
const summary = (ok = 0, ng = 0) => ({ today: { ok, ng, review: 0, error: 0 }, latencies_ms: [], parts_per_minute: 3 });
const start = (parts = []) => initialState({ parts, summary: summary(), status: null });
const sequences = (state) => state.parts.map((one) => one.sequence);
const taking = (state, ...parts) => parts.reduce((now, one) => withPart(now, one).state, state);

test("the newest part comes first and is counted", () => {
  const state = taking(start(), part(1), part(2, "NG"));
  assert.deepEqual(sequences(state), [2, 1]);
  assert.deepEqual([state.today.ok, state.today.ng, state.newest], [1, 1, 2]);
});

test("a part that comes again replaces itself and is not counted again", () => {
  const state = taking(start(), part(1), part(1, "OK", { serial: "later" }));
  assert.deepEqual([state.parts.length, state.today.ok, state.parts[0].serial], [1, 1, "later"]);
});

test("a gap in the numbers is told with the last number before it", () => {
  const state = taking(start(), part(1));
  assert.equal(withPart(state, part(2)).missedAfter, null);
  assert.equal(withPart(state, part(5)).missedAfter, 1);
});

test("the very first part is no gap", () => {
  assert.equal(withPart(start(), part(4711)).missedAfter, null);
});

test("parts that were missed take their places in between", () => {
  const state = taking(start(), part(1), part(4), part(2), part(3));
  assert.deepEqual(sequences(state), [4, 3, 2, 1]);
  assert.equal(state.newest, 4);
});

test("no more parts and latencies are kept than are shown", () => {
  const state = taking(start(), ...Array.from({ length: 300 }, (_, index) => part(index + 1)));
  assert.deepEqual([state.parts.length, state.latencies.length], [KEPT_PARTS, KEPT_LATENCIES]);
  assert.deepEqual([sequences(state)[0], state.latencies.at(-1)], [300, 300]);
});

test("a bench inspection is listed, but neither counted nor shown in place of the line's newest part", () => {
  const state = taking(start(), part(1), part(2, "NG", { origin: "api" }));
  assert.deepEqual([sequences(state), state.today.ng, state.latencies.length], [[2, 1], 0, 1]);
  assert.equal(shownPart(state).sequence, 1);
});

test("where there is nothing else a bench inspection is shown", () => {
  assert.equal(shownPart(taking(start(), part(1, "OK", { origin: "api" }))).sequence, 1);
});

test("a frozen page shows its part while the line goes on, also after that part left the list", () => {
  let state = frozen(taking(start(), part(1), part(2)), 1);
  state = taking(state, ...Array.from({ length: 60 }, (_, index) => part(index + 3)));
  assert.equal(shownPart(state).sequence, 1);
  assert.equal(shownPart(frozen(state, null)).sequence, 62);
});

test("nothing is shown of a line without parts", () => {
  assert.equal(shownPart(start()), null);
});

test("the server's count takes the place of ours", () => {
  const state = withSummary(taking(start(), part(1)), summary(90, 10));
  assert.deepEqual([state.today.ok, yieldShare(state.today)], [90, 0.9]);
});

test("a day without parts has no yield", () => {
  assert.equal(yieldShare({ ok: 0, ng: 0, review: 0, error: 0 }), null);
});

test("quantiles are those of NumPy", () => {
  // numpy.percentile([4, 1, 3, 2], [0, 50, 95, 100]) = 1, 2.5, 3.85, 4
  assert.deepEqual([0, 0.5, 1].map((share) => quantile([4, 1, 3, 2], share)), [1, 2.5, 4]);
  assert.ok(Math.abs(quantile([4, 1, 3, 2], 0.95) - 3.85) < 1e-12);
  assert.equal(quantile([], 0.5), null);
});

test("a score lies left of the threshold exactly when it is below it", () => {
  for (const score of [-2, 0, 0.4999, 0.5, 0.7, 40]) {
    const place = scorePosition({ score, ng_at: 0.5, review_from: 0.3 });
    assert.equal(place.score < place.ngAt, score < 0.5, String(score));
    assert.ok(place.reviewFrom < place.ngAt && place.score >= 0 && place.score <= 1);
  }
});

test("without a score there is no place on the bar", () => {
  assert.equal(scorePosition({ score: null, ng_at: 0.5, review_from: null }), null);
});
