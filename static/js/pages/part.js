import { isTyping } from "../lib/overlay.js";
import { partViews } from "../lib/part_views.js";

const root = document.querySelector('[data-page="part"]');
partViews(root).show(JSON.parse(document.getElementById("part-state").textContent));

document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  if (!event.target.closest("input")) document.querySelector(`[data-key="${event.key}"]`)?.click();
  const verdict = { o: "OK", n: "NG" }[event.key.toLowerCase()];
  if (verdict) root.querySelector(`input[name=verdict][value=${verdict}]`).checked = true;
});
