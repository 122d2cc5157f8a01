import assert from "node:assert/strict";
import { test } from "node:test";
import { countFrom, histogram, judge, lowerBound, range, sortScores, wilson } from "../../static/js/lib/threshold.js";

// A small repeatable generator: the tests must not depend on luck.
function random(seed) {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 4294967296;
    return state / 4294967296;
  };
}

test("a score at the threshold is NG", () => {
  const seen = judge(sortScores([0.1, 0.5], [0.5, 0.9]), 0.5);
  assert.deepEqual(seen.ok, { OK: 1, REVIEW: 0, NG: 1 });
  assert.deepEqual(seen.ng, { OK: 0, REVIEW: 0, NG: 2 });
});

test("scores are sorted by value, negative ones too", () => {
  assert.deepEqual([...sortScores([10, -2, 9], []).ok], [-2, 9, 10]);
});

test("lower bound and count agree with a plain count, repeated values included", () => {
  const sorted = Float64Array.from([1, 2, 2, 2, 3]);
  for (const value of [0, 1, 1.5, 2, 2.5, 3, 4]) {
    assert.equal(lowerBound(sorted, value), [...sorted].filter((one) => one < value).length);
    assert.equal(countFrom(sorted, value), [...sorted].filter((one) => one >= value).length);
  }
});

test("REVIEW is from its line up to NG, and is neither escape nor overkill", () => {
  const seen = judge(sortScores([0.1, 0.4, 0.6], [0.2, 0.45, 0.9]), 0.5, 0.3);
  assert.deepEqual(seen.ok, { OK: 1, REVIEW: 1, NG: 1 });
  assert.deepEqual(seen.ng, { OK: 1, REVIEW: 1, NG: 1 });
  assert.equal(seen.escapes.count, 1);
  assert.equal(seen.overkill.count, 1);
  assert.equal(seen.review.count, 2);
});

test("every image is judged exactly once, wherever the lines are", () => {
  const next = random(3);
  const scores = sortScores(Array.from({ length: 50 }, next), Array.from({ length: 20 }, next));
  for (const [ngAt, reviewFrom] of [[0.5, null], [0.5, 0.2], [-1, null], [2, null], [0.3, 0.6]]) {
    const { ok, ng } = judge(scores, ngAt, reviewFrom);
    assert.equal(ok.OK + ok.REVIEW + ok.NG, 50);
    assert.equal(ng.OK + ng.REVIEW + ng.NG, 20);
    assert.ok(ok.REVIEW >= 0 && ng.REVIEW >= 0);
  }
});

test("the Wilson interval is that of the textbook (Wilson 1927; 4 of 10, and none of 20)", () => {
  const some = wilson(4, 10);
  assert.ok(Math.abs(some.low - 0.168180) < 1e-6 && Math.abs(some.high - 0.687326) < 1e-6);
  const none = wilson(0, 20);
  assert.equal(none.low, 0);
  assert.ok(Math.abs(none.high - 0.161125) < 1e-6);
});

test("an interval of nothing says nothing", () => {
  assert.deepEqual(wilson(0, 0), { count: 0, of: 0, rate: null, low: 0, high: 1 });
});

test("without NG images there is no share of escapes", () => {
  assert.equal(judge(sortScores([0.1, 0.2], []), 0.5).escapes.rate, null);
});

test("a histogram holds every score once", () => {
  const next = random(11);
  const scores = sortScores(Array.from({ length: 500 }, next), Array.from({ length: 77 }, next));
  const [low, high] = range(scores);
  const { ok, ng, centres } = histogram(scores, low, high, 60);
  assert.equal(centres.length, 60);
  assert.equal(ok.reduce((sum, count) => sum + count), 500);
  assert.equal(ng.reduce((sum, count) => sum + count), 77);
});

test("the range takes in thresholds beyond the scores, and is never empty", () => {
  const [low, high] = range(sortScores([0.4], [0.4]), 0.9, null);
  assert.ok(low < 0.4 && high > 0.9);
  const [alone, end] = range(sortScores([0.4], []));
  assert.ok(alone < 0.4 && end > 0.4);
  assert.deepEqual(range(sortScores([], [])), [0, 1]);
});

test("100,000 scores are judged anew well within a frame's 50 ms", (context) => {
  const next = random(5);
  const scores = sortScores(Array.from({ length: 90_000 }, next), Array.from({ length: 10_000 }, next));
  const times = [];
  for (let index = 0; index < 50; index += 1) {
    const before = performance.now();
    judge(scores, index / 50, index / 100);
    times.push(performance.now() - before);
  }
  times.sort((a, b) => a - b);
  context.diagnostic(`median ${times[25].toFixed(3)} ms, worst ${times[49].toFixed(3)} ms`);
  assert.ok(times[25] < 50);
});
