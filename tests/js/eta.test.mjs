import assert from "node:assert/strict";
import { test } from "node:test";
import { secondsLeft, timeLeft } from "../../static/js/lib/eta.js";

const WORDS = { seconds: "{s} s left", minutes: "{m} min left", hours: "{h} h {m} min left" };

test("a steady pace gives the time that is left", () => {
  assert.equal(secondsLeft([[0, 0], [10, 0.25]]), 30);
});

test("nothing is promised from the first moments, or while nothing moves", () => {
  assert.equal(secondsLeft([[0, 0.1]]), null);
  assert.equal(secondsLeft([[0, 0.1], [1, 0.2]]), null);
  assert.equal(secondsLeft([[0, 0.5], [30, 0.5]]), null);
});

test("only the last minute counts: a slow start is forgotten", () => {
  assert.equal(secondsLeft([[0, 0], [1000, 0.1], [1050, 0.6]]), 40);
});

test("the words fit the size", () => {
  assert.equal(timeLeft([[0, 0], [10, 0.5]], WORDS), "10 s left");
  assert.equal(timeLeft([[0, 0], [10, 0.01]], WORDS), "17 min left");
  assert.equal(timeLeft([[0, 0], [50, 0.005]], WORDS), "2 h 46 min left");
  assert.equal(timeLeft([], WORDS), "");
});
