/**
 * The curves of a training as one chart a stage. Pure.
 *
 * @typedef {Record<string, [number, number][]>} Curves  by "stage | name", (iteration, value)
 */

const SEPARATOR = " | ";
const MUCH_LARGER = 4;

function parts(key) {
  const at = key.lastIndexOf(SEPARATOR);
  return at < 0 ? ["", key] : [key.slice(0, at), key.slice(at + SEPARATOR.length)];
}

/** @returns {string[]} in the order in which they began */
export function stagesOf(curves) {
  return [...new Set(Object.keys(curves).map((key) => parts(key)[0]))];
}

function largest(points) {
  return points.reduce((most, [, value]) => Math.max(most, Math.abs(value)), 0);
}

/**
 * Traces and layout for Plotly. Series that are much larger than the smallest ones are drawn dotted, on an axis
 * of their own on the right, so that a factor of 8 does not flatten a loss of 0.1.
 * @param {Curves} curves
 * @param {string} stage
 * @param {boolean} isLog
 */
export function chartOf(curves, stage, isLog) {
  const series = Object.entries(curves)
    .map(([key, points]) => ({ stage: parts(key)[0], name: parts(key)[1], points, largest: largest(points) }))
    .filter((one) => one.stage === stage);
  const floor = Math.max(1, Math.min(...series.map((one) => one.largest)));
  const traces = series.map(({ name, points, largest: most }) => {
    const isRight = most > MUCH_LARGER * floor;
    return {
      name,
      x: points.map(([iteration]) => iteration),
      y: points.map(([, value]) => value),
      mode: "lines",
      line: { width: 1.5, dash: isRight ? "dot" : "solid" },
      yaxis: isRight ? "y2" : "y",
    };
  });
  const type = isLog ? "log" : "linear";
  const layout = {
    xaxis: { title: { text: "iteration" } },
    yaxis: { type },
    showlegend: true,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
  };
  if (traces.some(({ yaxis }) => yaxis === "y2")) {
    layout.yaxis2 = { type, overlaying: "y", side: "right", showgrid: false };
    layout.margin = { l: 56, r: 56, t: 16, b: 44 };
  }
  return { traces, layout };
}
