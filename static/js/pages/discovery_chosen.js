// The map as a labelling tool: draw around points or choose a type, look at the images, say what they are.
import { api } from "../lib/api.js";
import { draw } from "../lib/chart.js";
import { mapChart, pointsOf } from "../lib/discovery.js";
import { labelQueue } from "../lib/labels.js";
import { toast } from "../lib/toast.js";

const AT_ONCE = 1000; // images in a request
const PICTURES = 24;
const TOOLS = { modeBarButtonsToRemove: ["autoScale2d"] };

function images(count) {
  return count === 1 ? "1 image" : `${count} images`;
}

/**
 * @param {HTMLElement} place the discovery
 * @param {{image: number, x: number, y: number, type: number, class: string}[]} points
 */
export function mountChosen(place, points, words) {
  const root = place.querySelector('[data-role="chosen"]');
  const part = (role) => root.querySelector(`[data-role="${role}"]`);
  const map = place.querySelector('[data-role="map"]');
  const byImage = new Map(points.map((point) => [point.image, point]));
  const known = () => [...[...root.querySelectorAll("datalist option")].map((option) => option.value), "NG"];
  const queue = labelQueue({ labelsUrl: root.dataset.labelsUrl, undoUrl: root.dataset.undoUrl, paint, paintCounts() {} });
  let chosen = new Set();

  points.forEach((point) => queue.know(point.image, { class: point.class ? { name: point.class } : null, isDisputed: false }));
  render();
  // Plotly itself shows what was drawn around; drawing the map anew here would make it forget, and say so.
  map.on("plotly_selected", (event) => {
    if (!event?.points.length) return;
    part("type").value = "";
    choose(event.points.map((point) => point.customdata));
  });
  map.on("plotly_doubleclick", () => {
    choose([]);
    render();
  });

  /** The server's word on an image; the map shows it when one hovers. */
  function paint(id, standing) {
    byImage.get(id).class = standing.isDisputed ? "" : (standing.class?.name ?? "");
  }

  function render() {
    const { traces, layout } = mapChart(points, words);
    const marked = pointsOf(traces, chosen);
    traces.forEach((trace, index) => (trace.selectedpoints = marked[index]));
    draw(map, traces, { ...layout, dragmode: "lasso" }, TOOLS);
  }

  function choose(ids) {
    chosen = new Set(ids);
    part("pictures").replaceChildren(...ids.slice(0, PICTURES).map(picture));
    const beyond = ids.length > PICTURES ? ` (${PICTURES} of them below)` : "";
    say(ids.length ? `${images(ids.length)} chosen${beyond}.` : "Nothing is chosen.");
    showButton();
  }

  function picture(id) {
    const link = document.createElement("a");
    link.href = `/images/${id}/`;
    const image = document.createElement("img");
    Object.assign(image, { src: `/images/${id}/thumbnail/`, alt: `Image ${id}`, loading: "lazy" });
    link.append(image);
    return link;
  }

  function say(text) {
    part("said").textContent = text;
  }

  function className() {
    const typed = part("name").value.trim();
    return known().find((name) => name.toLowerCase() === typed.toLowerCase()) ?? typed;
  }

  function isNew(name) {
    return !known().includes(name);
  }

  function showButton() {
    const name = className();
    part("label").disabled = !(chosen.size && name);
    const words = isNew(name) ? `Add class “${name}” and label ${images(chosen.size)}` : `Label ${images(chosen.size)} ${name}`;
    part("label").querySelector("span").textContent = part("label").disabled ? "Label" : words;
  }

  async function label() {
    const name = className();
    const ids = [...chosen];
    part("label").disabled = true;
    try {
      if (isNew(name)) await addClass(name);
    } catch (error) {
      toast(error.message, "error");
      showButton();
      return;
    }
    for (let start = 0; start < ids.length; start += AT_ONCE) await queue.label(ids.slice(start, start + AT_ONCE), { name });
    const right = ids.filter((id) => byImage.get(id).class === name).length;
    say(`${images(right)} labelled “${name}”.`);
    part("undo").disabled = false;
    render();
    showButton();
  }

  async function addClass(name) {
    await api(root.dataset.classesUrl, { method: "POST", body: { name } });
    const option = document.createElement("option");
    option.value = name;
    root.querySelector("datalist").append(option);
  }

  async function undo() {
    await queue.undo();
    say("The last labels were taken back.");
    render();
  }

  part("type").addEventListener("change", ({ target }) => {
    choose(target.value === "" ? [] : points.filter((point) => point.type === Number(target.value)).map((point) => point.image));
    render();
  });
  part("name").addEventListener("input", showButton);
  part("label").addEventListener("click", label);
  part("undo").addEventListener("click", undo);
}
