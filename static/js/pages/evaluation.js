// Curves and figures by class on the model page; they follow the tuner's line.
import { COLOURS, draw } from "../lib/chart.js";
import { learningChart, precisionRecallChart, rocChart } from "../lib/evaluation.js";
import { countFrom, wilson } from "../lib/threshold.js";

const percent = (value) => (value === null ? "–" : `${(100 * value).toFixed(1)} %`);
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const unjudged = { overkill: { rate: null }, recall: { rate: null }, precision: { rate: null } };

function mountCurves(place) {
  const curves = read("curves");
  const colours = { line: COLOURS.accent, mark: COLOURS.NG, grid: "#9aa5b1" };
  const show = (judged) => {
    for (const [role, chart, points] of [["roc", rocChart, curves.roc], ["precision-recall", precisionRecallChart, curves.precision_recall]]) {
      const { traces, layout } = chart(points, judged, colours);
      draw(place.querySelector(`[data-role="${role}"]`), traces, layout);
    }
  };
  show(unjudged);
  return ({ judged }) => show(judged);
}

function mountClasses(place) {
  const rows = [...place.querySelectorAll("[data-class]")];
  return ({ ngAt, judged, types }) => {
    for (const row of rows) {
      const sorted = types[row.dataset.class] ?? [];
      const rate = row.dataset.isNg === "yes" ? wilson(countFrom(sorted, ngAt), sorted.length) : judged.overkill;
      row.querySelector('[data-role="judged-ng"]').textContent = rate.count;
      row.querySelector('[data-role="share"]').textContent = percent(rate.rate);
      row.querySelector('[data-role="interval"]').textContent = rate.of ? `${percent(rate.low)} – ${percent(rate.high)}` : "";
    }
  };
}

function drawLearningCurve(place) {
  const { traces, layout } = learningChart(read("learning-curve"));
  draw(place.querySelector('[data-role="learning-curve"]'), traces, layout);
}

/** @returns {(moved: {ngAt: number, judged: object, types: Record<string, number[]>}) => void} to tell of the line */
export function mountEvaluation() {
  const page = (name) => document.querySelector(`[data-page="${name}"]`);
  if (page("learning-curve")) drawLearningCurve(page("learning-curve"));
  const followers = [
    page("curves") && mountCurves(page("curves")),
    page("classes") && mountClasses(page("classes")),
  ].filter(Boolean);
  let isAsked = false;
  let newest = null;
  // A drag moves many times within a frame: the charts are drawn once, for the last.
  return (moved) => {
    newest = moved;
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => {
      isAsked = false;
      for (const follow of followers) follow(newest);
    });
  };
}
