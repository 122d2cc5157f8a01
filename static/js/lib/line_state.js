/**
 * What a live page knows of its line. Pure: a page feeds it events and reads it; nothing here touches the document.
 *
 * @typedef {{sequence: number, verdict: string, total_ms: number, origin: string, serial: string, score: number|null}} Part
 * @typedef {{parts: Part[], today: Record<string, number>, latencies: number[], pace: number, status: object|null,
 *   frozen: Part|null, newest: number}} LineState
 */

export const KEPT_PARTS = 50;
export const KEPT_LATENCIES = 200;
const COUNTED = ["ok", "ng", "review", "error"];

/** @returns {LineState} from what the server rendered into the page */
export function initialState({ parts, summary, status }) {
  return withSummary(
    { parts: parts.slice(0, KEPT_PARTS), today: {}, latencies: [], pace: 0, status, frozen: null, newest: parts[0]?.sequence ?? 0 },
    summary,
  );
}

/** The server's own count in place of ours: after a gap, at midnight, and every so often. */
export function withSummary(state, summary) {
  const today = Object.fromEntries(COUNTED.map((name) => [name, summary.today[name]]));
  return { ...state, today, latencies: summary.latencies_ms.slice(-KEPT_LATENCIES), pace: summary.parts_per_minute };
}

/**
 * Take a judged part.
 * @returns {{state: LineState, isNew: boolean, missedAfter: number|null}} `missedAfter`: parts behind this sequence were missed
 */
export function withPart(state, part) {
  const at = state.parts.findIndex((known) => known.sequence <= part.sequence);
  const known = at >= 0 && state.parts[at].sequence === part.sequence;
  if (known) return { state: { ...state, parts: state.parts.with(at, part) }, isNew: false, missedAfter: null };
  const index = at < 0 ? state.parts.length : at;
  const parts = state.parts.toSpliced(index, 0, part).slice(0, KEPT_PARTS);
  const isBench = part.origin === "api";
  const verdict = part.verdict.toLowerCase();
  const missedAfter = state.newest && part.sequence > state.newest + 1 ? state.newest : null;
  return {
    state: {
      ...state,
      parts,
      newest: Math.max(state.newest, part.sequence),
      today: isBench ? state.today : { ...state.today, [verdict]: (state.today[verdict] ?? 0) + 1 },
      latencies: isBench ? state.latencies : [...state.latencies, part.total_ms].slice(-KEPT_LATENCIES),
    },
    isNew: true,
    missedAfter,
  };
}

/** Look at one part while the line goes on; null goes on with the newest. */
export function frozen(state, sequence) {
  return { ...state, frozen: state.parts.find((part) => part.sequence === sequence) ?? null };
}

/** @returns {Part|null} the part that the page shows large: the line's newest; a bench inspection only where there is none */
export function shownPart(state) {
  return state.frozen ?? state.parts.find((part) => part.origin !== "api") ?? state.parts[0] ?? null;
}

/** @returns {number|null} OK parts of all parts */
export function yieldShare(today) {
  const total = COUNTED.reduce((sum, name) => sum + (today[name] ?? 0), 0);
  return total ? today.ok / total : null;
}

/**
 * @param {number[]} values
 * @param {number} share  0 to 1; linear between neighbours, as NumPy has it
 * @returns {number|null}
 */
export function quantile(values, share) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

/**
 * Where a score lies on a bar from 0 to 1 with the thresholds on it.
 * @returns {{score: number, ngAt: number, reviewFrom: number|null}|null}
 */
export function scorePosition({ score, ng_at: ngAt, review_from: reviewFrom }) {
  if (score === null || ngAt === null) return null;
  const low = Math.min(0, score, ngAt, reviewFrom ?? ngAt);
  const high = Math.max(score, ngAt + (ngAt - low));
  const place = (value) => (high > low ? (value - low) / (high - low) : 0.5);
  return { score: place(score), ngAt: place(ngAt), reviewFrom: reviewFrom === null ? null : place(reviewFrom) };
}
