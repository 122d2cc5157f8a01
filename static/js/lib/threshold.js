/**
 * What a threshold would have done to scores that are known. Pure and DOM-free: sorted arrays, binary search.
 * Rules that choose a threshold are the server's alone (ml/thresholds); this is for the line that is dragged.
 *
 * NG: an NG image. OK: an OK image. A score at or above `ngAt` is judged NG; one from `reviewFrom` up to it,
 * where there is a `reviewFrom`, REVIEW. Escape: NG judged OK. Overkill: OK judged NG.
 *
 * @typedef {{ok: Float64Array, ng: Float64Array}} SortedScores  each ascending
 * @typedef {{OK: number, REVIEW: number, NG: number}} Judged  how many were judged what
 * @typedef {{count: number, of: number, rate: number|null, low: number, high: number}} Rate  with its 95 % interval
 */

const Z95 = 1.959963984540054; // of the normal distribution, two-sided 95 %

/**
 * @param {ArrayLike<number>} ok
 * @param {ArrayLike<number>} ng
 * @returns {SortedScores}
 */
export function sortScores(ok, ng) {
  return { ok: Float64Array.from(ok).sort(), ng: Float64Array.from(ng).sort() };
}

/** @returns {number} the first index whose value is at or above `value` */
export function lowerBound(sorted, value) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @returns {number} how many values are at or above `value` */
export function countFrom(sorted, value) {
  return sorted.length - lowerBound(sorted, value);
}

/**
 * Wilson's score interval for a proportion.
 * @returns {Rate}
 */
export function wilson(count, of, z = Z95) {
  if (of === 0) return { count, of, rate: null, low: 0, high: 1 };
  const rate = count / of;
  const denominator = 1 + (z * z) / of;
  const centre = (rate + (z * z) / (2 * of)) / denominator;
  const half = (z * Math.sqrt((rate * (1 - rate)) / of + (z * z) / (4 * of * of))) / denominator;
  return {
    count,
    of,
    rate,
    low: count === 0 ? 0 : Math.max(0, centre - half),
    high: count === of ? 1 : Math.min(1, centre + half),
  };
}

/** @returns {Judged} */
function judged(sorted, ngAt, reviewFrom) {
  const atNg = countFrom(sorted, ngAt);
  const fromReview = reviewFrom === null ? atNg : Math.max(atNg, countFrom(sorted, reviewFrom));
  return { OK: sorted.length - fromReview, REVIEW: fromReview - atNg, NG: atNg };
}

/**
 * The confusion matrix at a threshold, and the rates that decide.
 * @param {SortedScores} scores
 * @param {number} ngAt
 * @param {number|null} reviewFrom
 * @returns {{ok: Judged, ng: Judged, escapes: Rate, overkill: Rate, review: Rate, recall: Rate, precision: Rate, accuracy: Rate}}
 */
export function judge(scores, ngAt, reviewFrom = null) {
  const ok = judged(scores.ok, ngAt, reviewFrom);
  const ng = judged(scores.ng, ngAt, reviewFrom);
  const all = scores.ok.length + scores.ng.length;
  return {
    ok,
    ng,
    escapes: wilson(ng.OK, scores.ng.length),
    overkill: wilson(ok.NG, scores.ok.length),
    review: wilson(ok.REVIEW + ng.REVIEW, all),
    recall: wilson(ng.NG, scores.ng.length),
    precision: wilson(ng.NG, ng.NG + ok.NG),
    accuracy: wilson(ok.OK + ng.NG, all),
  };
}

/**
 * Counts of both kinds in equal bins.
 * @returns {{centres: number[], width: number, ok: number[], ng: number[]}}
 */
export function histogram(scores, low, high, bins) {
  const width = (high - low) / bins || 1;
  const count = (sorted) => {
    const edges = Array.from({ length: bins }, (_, bin) => (bin ? lowerBound(sorted, low + bin * width) : 0));
    return edges.map((from, bin) => (edges[bin + 1] ?? sorted.length) - from);
  };
  return {
    centres: Array.from({ length: bins }, (_, bin) => low + (bin + 0.5) * width),
    width,
    ok: count(scores.ok),
    ng: count(scores.ng),
  };
}

/** @returns {[number, number]} the range that holds every score and threshold, with a little air */
export function range(scores, ...thresholds) {
  const ends = [scores.ok, scores.ng].flatMap((sorted) => (sorted.length ? [sorted[0], sorted.at(-1)] : []));
  const values = [...ends, ...thresholds.filter((value) => value !== null && Number.isFinite(value))];
  if (!values.length) return [0, 1];
  const low = Math.min(...values);
  const high = Math.max(...values);
  const air = (high - low) * 0.02 || 0.5;
  return [low - air, high + air];
}
