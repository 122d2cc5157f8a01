// The threshold tuner: histograms of OK and NG scores, lines to drag, and what they would do, all in the browser.
import { api } from "../lib/api.js";
import { COLOURS, draw } from "../lib/chart.js";
import { histogram, judge, range, sortScores } from "../lib/threshold.js";
import { mountRules } from "./rules.js";

const BINS = 60;
const STEPS = 500; // arrow keys move by 1/500 of the range, with Shift ten times as far
const percent = (value) => (value === null ? "–" : `${(100 * value).toFixed(1)} %`);

/**
 * @param {HTMLElement} place
 * @param {(moved: {ngAt: number, judged: object, types: Record<string, number[]>}) => void} onMoved
 */
export async function mountTuner(place, onMoved) {
  const part = (role) => place.querySelector(`[data-role="${role}"]`);
  const given = (name) => (place.dataset[name] === "" ? null : Number(place.dataset[name]));
  const state = { ngAt: given("ngAt"), reviewFrom: given("reviewFrom"), isLog: true, withTraining: false };

  let columns;
  try {
    columns = await api(place.dataset.scores);
  } catch (error) {
    part("tuner-error").textContent = error.message;
    part("tuner-error").hidden = false;
    return;
  }
  const scores = sortScores(columns.held_out.ok, columns.held_out.ng);
  const training = sortScores(columns.training.ok, columns.training.ng);
  state.ngAt ??= scores.ng[0] ?? scores.ok.at(-1) ?? 0.5;
  const limits = range(scores, state.ngAt, state.reviewFrom);
  const step = (limits[1] - limits[0]) / STEPS;
  const digits = Math.max(0, Math.ceil(-Math.log10(step)) + 1);
  const within = (value) => Math.min(Math.max(value, limits[0]), limits[1]);
  /** What a hand can aim at; a line that is dragged lands on short numbers. */
  const aimed = (value) => Number(within(value).toFixed(digits));

  function setNg(value) {
    state.ngAt = value;
    if (state.reviewFrom !== null && state.reviewFrom >= value) state.reviewFrom = aimed(value - step);
    show();
  }

  function setNgByHand(value) {
    forgetRule();
    giveReason("");
    setNg(value);
  }

  /** The rule's sentence as the reason to save, unless the person has written one. */
  function giveReason(text) {
    const field = part("reason");
    if (!field || (field.value !== "" && field.value !== field.dataset.given)) return;
    field.value = text;
    field.dataset.given = text;
  }

  const forgetRule = mountRules(part("rules"), {
    hasNg: scores.ng.length > 0,
    onChosen: ({ value, reason }) => {
      giveReason(reason);
      setNg(value);
    },
  });

  function setReview(value) {
    state.reviewFrom = value === null || value < state.ngAt ? value : aimed(state.ngAt - step);
    show();
  }

  function showRate(name, rate) {
    part(name).textContent = `${rate.count} / ${rate.of}`;
    part(`${name}-interval`).textContent = rate.of ? `${percent(rate.rate)} (${percent(rate.low)} – ${percent(rate.high)})` : "";
  }

  function showMatrix() {
    const seen = judge(scores, state.ngAt, state.reviewFrom);
    showRate("escapes", seen.escapes);
    showRate("overkill", seen.overkill);
    for (const label of ["ok", "ng"]) {
      for (const verdict of ["OK", "REVIEW", "NG"]) part(`${label}-${verdict.toLowerCase()}`).textContent = seen[label][verdict];
    }
    for (const role of ["review-column", "ok-review", "ng-review"]) part(role).hidden = state.reviewFrom === null;
    onMoved({ ngAt: state.ngAt, judged: seen, types: columns.types });
  }

  function placeHandle(handle, value) {
    const axis = part("plot")._fullLayout?.xaxis;
    const vertical = part("plot")._fullLayout?.yaxis;
    handle.hidden = value === null || !axis;
    if (handle.hidden) return;
    handle.style.left = `${axis._offset + axis._length * ((within(value) - limits[0]) / (limits[1] - limits[0]))}px`;
    handle.style.height = `${vertical._offset + vertical._length}px`;
    handle.setAttribute("aria-valuemin", limits[0]);
    handle.setAttribute("aria-valuemax", limits[1]);
    handle.setAttribute("aria-valuenow", value);
  }

  function placeHandles() {
    placeHandle(part("ng-handle"), state.ngAt);
    placeHandle(part("review-handle"), state.reviewFrom);
  }

  function show() {
    showMatrix();
    placeHandles();
    if (document.activeElement !== part("ng-at")) part("ng-at").value = state.ngAt;
    if (document.activeElement !== part("review-from")) part("review-from").value = state.reviewFrom ?? "";
    part("review-from").disabled = state.reviewFrom === null;
    part("with-review").checked = state.reviewFrom !== null;
  }

  function bars(sorted, suffix, opacity) {
    const counted = histogram(sorted, limits[0], limits[1], BINS);
    return ["ok", "ng"].map((label) => ({
      type: "bar",
      name: `${label.toUpperCase()}${suffix}`,
      x: counted.centres,
      y: counted[label],
      width: counted.width,
      opacity,
      marker: { color: COLOURS[label.toUpperCase()] },
      hovertemplate: `%{y} ${label.toUpperCase()} at %{x:.4f}<extra></extra>`,
    }));
  }

  function showHistogram() {
    const traces = [
      ...(state.withTraining ? bars(training, " (training)", 0.25) : []),
      ...bars(scores, "", 0.65),
    ];
    const highest = Math.max(...traces.flatMap(({ y }) => y), 1);
    draw(part("plot"), traces, {
      barmode: "overlay",
      bargap: 0,
      dragmode: false,
      xaxis: { range: limits, fixedrange: true, title: { text: "score" } },
      yaxis: {
        type: state.isLog ? "log" : "linear",
        range: state.isLog ? [Math.log10(0.5), Math.log10(highest * 1.5)] : [0, highest * 1.08],
        dtick: state.isLog ? 1 : undefined,
        fixedrange: true,
        title: { text: "images" },
      },
    });
  }

  function makeDraggable(handle, set) {
    handle.addEventListener("pointerdown", (event) => {
      handle.setPointerCapture(event.pointerId);
      event.preventDefault();
      handle.focus();
    });
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const axis = part("plot")._fullLayout.xaxis;
      const x = event.clientX - part("plot").getBoundingClientRect().left - axis._offset;
      set(aimed(limits[0] + (x / axis._length) * (limits[1] - limits[0])));
    });
    handle.addEventListener("keydown", (event) => {
      const direction = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
      const current = handle === part("ng-handle") ? state.ngAt : state.reviewFrom;
      if (direction) set(aimed(current + direction * step * (event.shiftKey ? 10 : 1)));
      else if (event.key === "Home") set(aimed(limits[0]));
      else if (event.key === "End") set(aimed(limits[1]));
      else return;
      event.preventDefault();
    });
  }

  makeDraggable(part("ng-handle"), setNgByHand);
  makeDraggable(part("review-handle"), setReview);
  part("ng-at").addEventListener("input", ({ target }) => target.value !== "" && setNgByHand(Number(target.value)));
  part("review-from").addEventListener("input", ({ target }) => target.value !== "" && setReview(Number(target.value)));
  part("with-review").addEventListener("change", ({ target }) => setReview(target.checked ? aimed((limits[0] + state.ngAt) / 2) : null));
  part("log-counts").addEventListener("change", ({ target }) => {
    state.isLog = target.checked;
    showHistogram();
  });
  part("with-training").addEventListener("change", ({ target }) => {
    state.withTraining = target.checked;
    showHistogram();
  });
  part("with-training").closest("label").hidden = training.ok.length + training.ng.length === 0;

  showHistogram();
  part("plot").on("plotly_afterplot", placeHandles);
  show();
}
