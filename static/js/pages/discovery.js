// Types of defects on the model page: draws once they are found, also where they come in while one looks.
import { draw } from "../lib/chart.js";
import { mapChart, normChart, normRows } from "../lib/discovery.js";
import { mountChosen } from "./discovery_chosen.js";

const WORDS = { type: "Type", unlabelled: "unlabelled", norm: "mean gradient norm", share: "share of images" };

function cells(texts) {
  return texts.map((text, index) => {
    const cell = document.createElement("td");
    cell.textContent = text;
    if (index > 0) cell.className = "number";
    return cell;
  });
}

function show(place) {
  const points = JSON.parse(document.getElementById("discovery-points").textContent);
  const { norms } = JSON.parse(document.getElementById("discovery-findings").textContent);
  const part = (role) => place.querySelector(`[data-role="${role}"]`);
  const map = part("map");
  if ("mayLabel" in map.dataset) mountChosen(place, points, WORDS);
  else {
    const chart = mapChart(points, WORDS);
    draw(map, chart.traces, chart.layout);
  }
  map.on("plotly_click", ({ points: [point] }) => location.assign(`/images/${point.customdata}/`));
  const histogram = normChart(norms, WORDS);
  draw(part("norms"), histogram.traces, histogram.layout);
  part("norm-rows").replaceChildren(
    ...normRows(norms).map((texts) => {
      const row = document.createElement("tr");
      row.append(...cells(texts));
      return row;
    }),
  );
}

export function mountDiscovery() {
  const find = () => document.querySelector('[data-page="discovery"][data-state="done"]');
  if (find()) show(find());
  document.body.addEventListener("htmx:afterSwap", () => {
    const place = find();
    if (place && !place.querySelector('[data-role="map"]').hasChildNodes()) show(place);
  });
}
