/** The views of one part on their canvases: image, map, score. The newest part asked for wins. */
import { drawView, loadBitmap, loadMap } from "./heatmap.js";
import { overlayControls } from "./overlay.js";

/**
 * @param {Element} root  holds the `[data-view]` figures and the overlay's controls
 * @returns {{show: (part: object) => void}}
 */
export function partViews(root) {
  const figures = new Map([...root.querySelectorAll("[data-view]")].map((figure) => [figure.dataset.view, figure]));
  const loaded = new Map();
  let wanted = null;
  let isLoading = false;
  const overlay = overlayControls(root, redraw);

  function redraw() {
    const look = overlay.look();
    for (const [station, { image, map }] of loaded) drawView(figures.get(station).querySelector("canvas"), image, map, look);
  }

  async function loadView(view) {
    const [image, map] = await Promise.allSettled([
      view.frame_url ? loadBitmap(view.frame_url) : Promise.reject(new Error("no image was kept")),
      view.map_url ? loadMap(view.map_url) : Promise.resolve(null),
    ]);
    if (image.status === "rejected") return null;
    const box = view.map_box?.length === 4 ? view.map_box : [0, 0, image.value.height, image.value.width];
    return { image: image.value, map: map.status === "fulfilled" && map.value ? { ...map.value, box } : null };
  }

  async function work() {
    if (isLoading) return;
    isLoading = true;
    while (wanted) {
      const part = wanted;
      wanted = null;
      const pictures = await Promise.all(part.views.map(loadView));
      part.views.forEach((view, index) => place(part, view, pictures[index]));
      const map = part.views.find((view) => view.map_url);
      if (map) overlay.setMap(map.map_max, part.ng_at);
      redraw();
    }
    isLoading = false;
  }

  function place(part, view, picture) {
    const figure = figures.get(view.station);
    if (!figure) return;
    if (picture) loaded.set(view.station, picture);
    else loaded.delete(view.station);
    const canvas = figure.querySelector("canvas");
    const empty = figure.querySelector("[data-view-empty]");
    canvas.hidden = !picture;
    empty.hidden = Boolean(picture);
    if (!picture) empty.textContent = view.error || "no image is kept";
    figure.dataset.verdict = view.verdict;
    const said = view.score === null ? view.verdict : `${view.verdict} ${view.score.toFixed(4)}`;
    figure.querySelector("[data-view-score]").textContent = `#${part.sequence} · ${said}`;
    canvas.setAttribute("aria-label", `View ${view.station}: ${view.verdict}`);
  }

  new ResizeObserver(redraw).observe(root.querySelector("[data-views]"));

  return {
    show(part) {
      wanted = part;
      work();
    },
  };
}
