/** The gallery: arrows move, O and N and numbers label, U undoes, Space shows large. */
import { labelQueue } from "../lib/labels.js";
import { largeView } from "./gallery_large.js";
import * as selection from "./gallery_state.js";

const root = document.getElementById("gallery");
const grid = document.getElementById("cells");
if (root && grid) mount();

function mount() {
  const mayChange = "mayChange" in root.dataset;
  const large = largeView(document.getElementById("large"));
  const queue = labelQueue({
    labelsUrl: root.dataset.labelsUrl,
    undoUrl: root.dataset.undoUrl,
    paint: paintCell,
    paintCounts,
  });
  let state = selection.begin(cellIds());
  cells().forEach(know);
  render();

  function cells() {
    return [...grid.querySelectorAll(".cell")];
  }

  function cellIds() {
    return cells().map((cell) => Number(cell.dataset.id));
  }

  function cellOf(id) {
    return document.getElementById(`image-${id}`);
  }

  function know(cell) {
    const number = cell.dataset.number;
    const labelClass = number === "" ? null : { number: Number(number), name: className(number) };
    queue.know(Number(cell.dataset.id), { class: labelClass, isDisputed: "disputed" in cell.dataset });
  }

  function className(number) {
    return root.querySelector(`template[data-class="${number}"]`)?.dataset.name ?? "NG";
  }

  function badge(labelClass) {
    const template = root.querySelector(`template[data-class="${labelClass?.number ?? ""}"]`);
    if (template) return template.content.cloneNode(true);
    const made = root.querySelector('template[data-class="new"]').content.cloneNode(true);
    made.querySelector("span span").textContent = labelClass.name;
    return made;
  }

  function paintCell(id, standing, isSaving) {
    const cell = cellOf(id);
    cell.dataset.number = standing.class?.number ?? "";
    cell.toggleAttribute("data-disputed", standing.isDisputed);
    cell.classList.toggle("is-saving", isSaving);
    cell.querySelector(".cell-class").replaceChildren(badge(standing.class));
    if (large.isOpen) showLarge();
  }

  function paintCounts(counts) {
    root.querySelectorAll("[data-count]").forEach((element) => {
      element.textContent = counts[element.dataset.count];
    });
  }

  function render({ isScrolling = false } = {}) {
    const current = state.ids[state.cursor];
    cells().forEach((cell) => {
      const id = Number(cell.dataset.id);
      const isSelected = state.selected.has(id);
      cell.classList.toggle("is-current", id === current);
      cell.classList.toggle("is-selected", isSelected);
      const check = cell.querySelector(".cell-check");
      if (check) check.checked = isSelected;
    });
    const said = document.getElementById("selection-said");
    if (said) said.textContent = state.selected.size ? `${state.selected.size} selected` : "";
    if (isScrolling) cellOf(current)?.scrollIntoView({ block: "nearest" });
    if (large.isOpen) showLarge();
  }

  function go(next) {
    state = next;
    grid.classList.add("is-used");
    render({ isScrolling: true });
    askForMore();
  }

  /** The cursor comes near the end of what is loaded: scrolling alone would not tell, in the large view say. */
  function askForMore() {
    const more = grid.querySelector(".cell-more");
    if (!more || more.dataset.asked || state.cursor < state.ids.length - 2 * columns()) return;
    more.dataset.asked = "yes";
    window.htmx.trigger(more, "revealed");
  }

  /** Looking at one image, so that a key labels this one and no selection behind it. */
  function openLarge() {
    go(selection.noneSelected(state));
    showLarge();
  }

  function showLarge() {
    const place = `${state.cursor + 1} / ${state.ids.length}${grid.querySelector(".cell-more") ? "+" : ""}`;
    const next = state.ids[state.cursor + 1];
    large.show(cellOf(state.ids[state.cursor]), { place, next: next && cellOf(next) });
  }

  function label(labelClass) {
    queue.label(selection.targets(state), labelClass);
    go(selection.afterLabelling(state));
  }

  /** @returns {boolean} whether the key meant something */
  function press(event) {
    const step = selection.stepOf(event.key, columns());
    if (step) go(selection.moved(state, step, event.shiftKey && mayChange));
    else if (event.key === " ") large.isOpen ? large.close() : openLarge();
    else if (event.key === "Enter") location.assign(cellOf(state.ids[state.cursor]).dataset.page);
    else if (event.key === "Escape" && !large.isOpen) go(selection.noneSelected(state));
    else return mayChange && pressLabel(event.key.toLowerCase());
    return true;
  }

  function pressLabel(key) {
    if (key === "u") queue.undo();
    else if (key === "o") label({ number: 0, name: "OK" });
    else if (key === "n") label({ number: numberOf("NG"), name: "NG" });
    else if (/^\d$/.test(key) && root.querySelector(`template[data-class="${key}"]`))
      label({ number: Number(key), name: className(key) });
    else return false;
    return true;
  }

  function numberOf(name) {
    return Number(root.querySelector(`template[data-name="${name}"]`)?.dataset.class ?? -1);
  }

  function columns() {
    return getComputedStyle(grid).gridTemplateColumns.split(" ").length;
  }

  function isTyping(event) {
    const element = event.target;
    if (element.matches("textarea, select, input:not([type=checkbox])")) return true;
    return element.matches("button, a, input") && (event.key === " " || event.key === "Enter");
  }

  document.addEventListener("keydown", (event) => {
    if (event.altKey || isTyping(event)) return;
    if (event.ctrlKey || event.metaKey) {
      if (event.key !== "a" || !mayChange) return;
      go(selection.allSelected(state));
      event.preventDefault();
    } else if (press(event)) {
      event.preventDefault();
    }
  });

  grid.addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell || event.target.closest(".cell-more")) return;
    const isCheck = event.target.matches(".cell-check");
    if (!isCheck) event.preventDefault();
    const isToggling = isCheck || event.ctrlKey || event.metaKey;
    go(
      selection.clicked(state, Number(cell.dataset.id), {
        isExtending: event.shiftKey && mayChange,
        isToggling: isToggling && mayChange,
      }),
    );
  });

  grid.addEventListener("dblclick", (event) => {
    if (event.target.closest(".cell-picture")) openLarge();
  });

  root.querySelectorAll(".label-bar button").forEach((button) =>
    button.addEventListener("click", (event) => {
      event.preventDefault();
      if (button.name === "undo") queue.undo();
      else label({ number: numberOf(button.value), name: button.value });
    }),
  );

  document.getElementById("filter-class")?.addEventListener("change", (event) => event.target.form.submit());

  document.addEventListener("htmx:afterSettle", () => {
    cells().forEach(know);
    state = selection.extended(state, cellIds());
    render();
  });
}
