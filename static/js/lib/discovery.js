/** The pictures of a discovery as Plotly's traces: the map (figure 7), the mean gradient norm (figure 5). */

export const TYPE_COLOURS = ["#066fd1", "#f76707", "#2fb344", "#ae3ec9", "#f59f00", "#17a2b8", "#d63939", "#74b816", "#4263eb", "#a5714b"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "x", "star", "pentagon", "hexagon", "triangle-down"];
const TYPE_MARK = 8; // px

/**
 * A trace a type; colour and symbol both tell it, beyond ten types in other pairs.
 * @param {{image: number, x: number, y: number, type: number, class: string}[]} points
 */
export function mapChart(points, words) {
  const types = [...new Set(points.map((point) => point.type))].sort((a, b) => a - b);
  const traces = types.map((type) => {
    const own = points.filter((point) => point.type === type);
    return {
      type: "scatter",
      mode: "markers",
      name: `${words.type} ${type + 1} (${own.length})`,
      x: own.map((point) => point.x),
      y: own.map((point) => point.y),
      customdata: own.map((point) => point.image),
      text: own.map((point) => point.class || words.unlabelled),
      hovertemplate: "%{text}<extra>%{fullData.name}</extra>",
      marker: { size: TYPE_MARK, color: TYPE_COLOURS[type % TYPE_COLOURS.length], symbol: SYMBOLS[(type + Math.floor(type / SYMBOLS.length)) % SYMBOLS.length] },
    };
  });
  const axis = { showticklabels: false, zeroline: false };
  return { traces, layout: { xaxis: axis, yaxis: { ...axis, scaleanchor: "x" }, margin: { l: 8, r: 8, t: 8, b: 8 } } };
}

/**
 * For each trace of `mapChart`, which of its points are to stand out; null for all of them.
 * @param {{customdata: number[]}[]} traces
 * @param {Set<number>} images
 * @returns {(number[]|null)[]}
 */
export function pointsOf(traces, images) {
  if (!images.size) return traces.map(() => null);
  return traces.map(({ customdata }) => [...customdata.keys()].filter((index) => images.has(customdata[index])));
}

/**
 * Shares, not counts: classes differ in how many images they have.
 * @param {{edges: number[], classes: Record<string, {counts: number[], images: number}>}} norms
 */
export function normChart({ edges, classes }, words) {
  const traces = Object.entries(classes).map(([name, row], index) => ({
    type: "scatter",
    mode: "lines",
    name,
    x: edges,
    y: [...row.counts, 0].map((count) => count / row.images),
    line: { shape: "hv", width: 2, color: name === "OK" ? "#2fb344" : TYPE_COLOURS.filter((one) => one !== "#2fb344")[index % (TYPE_COLOURS.length - 1)] },
  }));
  return { traces, layout: { xaxis: { type: "log", title: { text: words.norm }, exponentformat: "power" }, yaxis: { title: { text: words.share }, tickformat: ".0%", rangemode: "tozero" } } };
}

/** Rows of table 3. */
export function normRows({ classes }) {
  return Object.entries(classes).map(([name, { images, mean, variance }]) => [name, String(images), mean.toExponential(2), variance.toExponential(2)]);
}
