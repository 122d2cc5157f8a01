/** Plotly with the page's own colours. The script is a plain one, loaded by the page before this module. */

export const COLOURS = { OK: "#2fb344", NG: "#d63939", REVIEW: "#f59f00", ERROR: "#ae3ec9", accent: "#066fd1" };
const CONFIG = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

/** @returns {object} a layout that follows the theme */
export function themed(layout = {}) {
  const style = getComputedStyle(document.body);
  const grid = document.documentElement.getAttribute("data-bs-theme") === "dark" ? "#34404f" : "#e6e7e9";
  const axis = { gridcolor: grid, zerolinecolor: grid, linecolor: grid };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 56, r: 16, t: 16, b: 44 },
    legend: { orientation: "h", y: 1.12 },
    ...layout,
    font: { family: style.fontFamily, color: style.color, size: 13 },
    xaxis: { ...axis, ...layout.xaxis },
    yaxis: { ...axis, ...layout.yaxis },
  };
}

/**
 * Draw, or redraw in place; follows the theme switch by itself.
 * @param {object} config what differs from the usual tools beside the chart
 */
export function draw(element, traces, layout, config = {}) {
  Plotly.react(element, traces, themed(layout), { ...CONFIG, ...config });
  if (!element.dataset.themed) {
    element.dataset.themed = "yes";
    document.addEventListener("theme:changed", () => Plotly.relayout(element, themed(element.layout)));
  }
}
