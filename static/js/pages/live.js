/** A line, live: what the newest part looks like, what was said of it, and how the line is. */
import { api } from "../lib/api.js";
import { frozen, initialState, quantile, scorePosition, shownPart, withPart, withSummary, yieldShare } from "../lib/line_state.js";
import { isTyping } from "../lib/overlay.js";
import { partViews } from "../lib/part_views.js";
import { showPlc } from "../lib/plc_card.js";
import { liveSocket } from "../lib/socket.js";
import { sayStale } from "../lib/stale.js";
import { clockTime } from "../lib/time.js";

const SUMMARY_EVERY_MS = 30_000;
const root = document.querySelector('[data-page="live"]');
const given = JSON.parse(document.getElementById("live-state").textContent);
const views = partViews(root);
const badges = Object.fromEntries(
  [...root.querySelector("[data-verdict-templates]").content.children].map((element) => [element.dataset.badge, element.firstElementChild]),
);
const find = (selector) => root.querySelector(selector);
const freezeButton = document.querySelector('[data-action="freeze"]');
let state = initialState(given);
let drawn = null;
let isScheduled = false;
let isFilling = false;

function formatScore(score) {
  return score === null || score === undefined ? "–" : score.toFixed(4);
}

function formatTime(text) {
  return clockTime(text, root.dataset.timeZone);
}

/** Draws at most once a frame, however fast the parts come. */
function changed() {
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    showVerdict(shownPart(state));
    showFigures();
    showParts();
  });
}

function showVerdict(part) {
  const panel = find("[data-verdict-panel]");
  panel.dataset.verdict = part?.verdict ?? "";
  find("[data-verdict-word]").textContent = part?.verdict ?? "–";
  const note = find("[data-frozen]");
  note.hidden = !state.frozen;
  freezeButton.setAttribute("aria-pressed", String(Boolean(state.frozen)));
  freezeButton.classList.toggle("active", Boolean(state.frozen));
  if (!part) return;
  find("[data-part-name]").textContent = [`#${part.sequence}`, part.serial, part.origin === "api" ? "bench" : ""].filter(Boolean).join(" · ");
  find("[data-part-time]").textContent = formatTime(part.judged_at);
  find("[data-part-error]").textContent = part.error;
  find("[data-score]").textContent = formatScore(part.score);
  find("[data-ng-at]").textContent = formatScore(part.ng_at);
  find("[data-model]").textContent = part.model_version === null ? "–" : `v${part.model_version}`;
  find("[data-frozen-text]").textContent = `Frozen at #${part.sequence}; the line goes on.`;
  showScoreBar(part);
  if (drawn !== part) {
    drawn = part;
    views.show(part);
  }
}

function showScoreBar(part) {
  const place = scorePosition(part);
  find("[data-score-bar]").classList.toggle("is-empty", !place);
  if (!place) return;
  const reviewFrom = place.reviewFrom ?? place.ngAt;
  find("[data-score-mark]").style.left = `${100 * place.score}%`;
  find("[data-score-ng]").style.left = `${100 * place.ngAt}%`;
  find("[data-score-review]").style.left = `${100 * reviewFrom}%`;
  find("[data-score-review]").style.width = `${100 * (place.ngAt - reviewFrom)}%`;
}

function showFigures() {
  const milliseconds = (value) => (value === null ? "–" : `${Math.round(value)} ms`);
  const share = yieldShare(state.today);
  const figures = {
    ...state.today,
    yield: share === null ? "–" : `${(100 * share).toFixed(1)} %`,
    pace: state.pace,
    last_ms: milliseconds(state.latencies.at(-1) ?? null),
    p50_ms: milliseconds(quantile(state.latencies, 0.5)),
    p95_ms: milliseconds(quantile(state.latencies, 0.95)),
  };
  for (const [name, value] of Object.entries(figures)) find(`[data-figure="${name}"]`).textContent = value;
  const p95 = quantile(state.latencies, 0.95);
  find('[data-figure="p95_ms"]').classList.toggle("text-red", p95 !== null && p95 > Number(root.dataset.deadlineMs));
}

function showParts() {
  const strip = find("[data-strip]");
  const shown = shownPart(state)?.sequence;
  strip.replaceChildren(
    ...state.parts.map((part) => {
      const cell = document.createElement("button");
      cell.type = "button";
      cell.className = `strip-cell verdict-${part.verdict.toLowerCase()}`;
      cell.dataset.sequence = part.sequence;
      cell.classList.toggle("is-bench", part.origin === "api");
      cell.title = `#${part.sequence} ${part.verdict}${part.origin === "api" ? " (bench)" : ""}`;
      cell.setAttribute("aria-label", cell.title);
      cell.toggleAttribute("aria-current", part.sequence === shown);
      cell.textContent = { OK: "", NG: "✕", REVIEW: "?", ERROR: "!" }[part.verdict];
      return cell;
    }),
  );
  find("[data-rows]").replaceChildren(...state.parts.slice(0, 12).map(partRow));
}

function partRow(part) {
  const row = find("[data-row-template]").content.firstElementChild.cloneNode(true);
  const cell = (name) => row.querySelector(`[data-cell="${name}"]`);
  cell("sequence").textContent = `#${part.sequence}`;
  cell("sequence").href = part.url;
  cell("serial").textContent = part.serial || "–";
  cell("verdict").append(badges[part.verdict].cloneNode(true));
  cell("score").textContent = formatScore(part.score);
  cell("latency").textContent = `${Math.round(part.total_ms)} ms`;
  cell("time").textContent = formatTime(part.judged_at);
  return row;
}

/** Takes a part; says whether parts before it were missed. */
function take(part) {
  const next = withPart(state, part);
  state = next.state;
  changed();
  return next.missedAfter;
}

/** Asks for the parts behind a number that the socket did not bring. */
async function fillAfter(sequence) {
  if (isFilling) return;
  isFilling = true;
  try {
    const page = await api(`${root.dataset.partsUrl}?after=${sequence}&page_size=${given.parts.length || 50}`);
    page.results.toSorted((a, b) => a.sequence - b.sequence).forEach(take);
    await sum();
  } catch {
    // The next part, or the socket when it is back, asks again.
  } finally {
    isFilling = false;
  }
}

async function sum() {
  state = withSummary(state, await api(root.dataset.summaryUrl));
  changed();
}

function showStatus(status) {
  state = { ...state, status };
  find("[data-stopped]").hidden = status !== null;
  find("[data-delivery]").hidden = !status?.delivery_error;
  root.classList.toggle("is-stopped", status === null);
  showPlc(root, status?.plc ?? null, status !== null);
}

async function refreshPanel() {
  const response = await fetch(root.dataset.panelUrl, { headers: { "HX-Request": "true" } });
  if (!response.ok || response.redirected) return;
  const isOpen = find("[data-panel] details")?.open;
  find("[data-panel]").innerHTML = await response.text();
  const details = find("[data-panel] details");
  if (details) details.open = Boolean(isOpen);
  htmx.process(find("[data-panel]"));
}

function freeze(sequence) {
  state = frozen(state, sequence);
  changed();
}

function toggleFreeze() {
  freeze(state.frozen ? null : shownPart(state)?.sequence ?? null);
}

function step(by) {
  const at = state.parts.findIndex((part) => part.sequence === shownPart(state)?.sequence);
  const part = state.parts[Math.min(Math.max(at + by, 0), state.parts.length - 1)];
  if (part) freeze(part.sequence);
}

const SHORTCUTS = {
  p: toggleFreeze,
  f: () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen()),
  arrowleft: () => step(1),
  arrowright: () => step(-1),
  escape: () => freeze(null),
};

document.addEventListener("keydown", (event) => {
  if (isTyping(event) || (event.key.startsWith("Arrow") && event.target.closest("input"))) return;
  SHORTCUTS[event.key.toLowerCase()]?.();
});
freezeButton.addEventListener("click", toggleFreeze);
document.querySelector('[data-action="full-screen"]').addEventListener("click", SHORTCUTS.f);
find("[data-strip]").addEventListener("click", (event) => {
  const sequence = Number(event.target.closest("[data-sequence]")?.dataset.sequence);
  if (sequence) freeze(state.frozen?.sequence === sequence ? null : sequence);
});

const HANDLERS = {
  part_judged: (part) => {
    const missedAfter = take(part);
    if (missedAfter !== null) fillAfter(missedAfter);
  },
  plc_changed: ({ plc }) => showPlc(root, plc, true),
  line_changed: ({ status }) => showStatus(status),
  deployment_changed: refreshPanel,
  alarm_raised: refreshPanel,
  alarm_cleared: refreshPanel,
};

liveSocket(`/ws/lines/${root.dataset.line}/`, {
  onMessage: (event) => HANDLERS[event.type]?.(event),
  onOpen: () => {
    sayStale(root, null);
    fillAfter(state.newest);
    refreshPanel();
  },
  onStale: (since) => sayStale(root, since),
});
setInterval(() => sum().catch(() => {}), SUMMARY_EVERY_MS);
showStatus(given.status);
changed();
