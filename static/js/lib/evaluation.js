/**
 * Curves of an evaluation as Plotly takes them. Pure.
 *
 * @typedef {{threshold: (number|null)[], overkill: number[], recall: number[]}} Roc
 * @typedef {{threshold: number[], recall: number[], precision: number[]}} PrecisionRecall
 * @typedef {{mean: number, low: number, high: number, least: number, most: number}} Summary
 */

const UNIT = [-0.02, 1.03];
const NAMES = { auroc: "AUROC", average_precision: "Average precision" };
const share = (title) => ({ range: UNIT, title: { text: title }, tickformat: ".0%", fixedrange: true });
const hover = (x, y) => `${x} %{x:.1%}<br>${y} %{y:.1%}<br>from %{text}<extra></extra>`;
const texts = (thresholds) => thresholds.map((value) => (value === null ? "above all" : value.toPrecision(4)));

function at(x, y, colour) {
  const isKnown = x !== null && y !== null;
  return {
    x: isKnown ? [x] : [],
    y: isKnown ? [y] : [],
    mode: "markers",
    marker: { size: 11, color: colour, line: { width: 2, color: "#fff" } },
    hoverinfo: "skip",
  };
}

/**
 * @param {Roc} roc
 * @param {{overkill: {rate: number|null}, recall: {rate: number|null}}} judged  at the threshold
 */
export function rocChart(roc, judged, colours) {
  return {
    traces: [
      { x: [0, 1], y: [0, 1], mode: "lines", line: { width: 1, dash: "dot", color: colours.grid }, hoverinfo: "skip" },
      { x: roc.overkill, y: roc.recall, text: texts(roc.threshold), mode: "lines", line: { width: 2, color: colours.line }, hovertemplate: hover("overkill", "recall") },
      at(judged.overkill.rate, judged.recall.rate, colours.mark),
    ],
    layout: { xaxis: share("overkill"), yaxis: share("recall"), showlegend: false },
  };
}

/** @param {PrecisionRecall} curve */
export function precisionRecallChart(curve, judged, colours) {
  return {
    traces: [
      { x: curve.recall, y: curve.precision, text: texts(curve.threshold), mode: "lines", line: { width: 2, color: colours.line, shape: "vh" }, hovertemplate: hover("recall", "precision") },
      at(judged.recall.rate, judged.precision.rate, colours.mark),
    ],
    layout: { xaxis: share("recall"), yaxis: share("precision"), showlegend: false },
  };
}

/** @param {{figures: string[], points: ({ng: number, fits: number, is_all: boolean} & Record<string, Summary|null>)[]}} curve */
export function learningChart(curve) {
  const traces = curve.figures.map((figure) => {
    const points = curve.points.filter((point) => point[figure]);
    return {
      name: NAMES[figure] ?? figure,
      x: points.map(({ ng }) => ng),
      y: points.map((point) => point[figure].mean),
      text: points.map(({ fits, is_all: isAll }) => `${fits} fits${isAll ? ", all NG images" : ""}`),
      error_y: {
        type: "data",
        symmetric: false,
        array: points.map((point) => point[figure].high - point[figure].mean),
        arrayminus: points.map((point) => point[figure].mean - point[figure].low),
        thickness: 1.2,
      },
      mode: "lines+markers",
      line: { width: 2 },
      hovertemplate: "%{x:.0f} NG: %{y:.4f}<br>%{text}<extra>%{fullData.name}</extra>",
    };
  });
  const lowest = Math.min(1, ...traces.flatMap(({ y, error_y: { arrayminus } }) => y.map((mean, index) => mean - arrayminus[index])));
  return {
    traces,
    layout: {
      xaxis: { title: { text: "NG images in training" }, rangemode: "tozero" },
      yaxis: { range: [Math.max(0, lowest - 0.03), 1.02] },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
      showlegend: true,
    },
  };
}
