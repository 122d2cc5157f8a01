/** One image over the whole window, from the gallery. */

/** @param {HTMLDialogElement} dialog */
export function largeView(dialog) {
  const picture = dialog.querySelector("img");
  dialog.querySelector(".btn-close").addEventListener("click", () => dialog.close());

  return {
    get isOpen() {
      return dialog.open;
    },
    /** @param {HTMLElement} cell @param {{place: string, next?: HTMLElement}} around */
    show(cell, { place, next }) {
      if (picture.getAttribute("src") !== cell.dataset.file) picture.src = cell.dataset.file;
      picture.alt = cell.dataset.name;
      dialog.querySelector(".large-name").textContent = cell.dataset.name;
      dialog.querySelector(".large-place").textContent = place;
      dialog.querySelector(".large-details").href = cell.dataset.page;
      dialog.querySelector(".large-class").replaceChildren(cell.querySelector(".class-badge").cloneNode(true));
      if (!dialog.open) {
        dialog.showModal();
        dialog.focus(); // not its first button: Space must close it, not press that
      }
      if (next) new Image().src = next.dataset.file;
    },
    close() {
      dialog.close();
    },
  };
}
