const COLOURS = { error: "red", warning: "yellow", success: "green" };
const SHOWN_MS = 6000;

/** @param {Element} element  Errors stay until closed; the rest leave by themselves. */
export function dismissLater(element) {
  element.querySelector(".btn-close")?.addEventListener("click", () => element.remove());
  if (element.dataset.toast !== "error") setTimeout(() => element.remove(), SHOWN_MS);
}

/**
 * Say something in the corner of the page.
 * @param {string} text
 * @param {"success"|"warning"|"error"} level
 */
export function toast(text, level = "success") {
  const element = document.createElement("div");
  element.className = "toast show";
  element.setAttribute("role", level === "error" ? "alert" : "status");
  element.dataset.toast = level;
  element.innerHTML =
    `<div class="toast-header"><span class="status status-${COLOURS[level]} me-2"><span class="status-dot"></span></span>` +
    '<strong class="me-auto"></strong><button type="button" class="btn-close ms-2" aria-label="Close"></button></div>';
  element.querySelector("strong").textContent = text;
  document.getElementById("toasts").append(element);
  dismissLater(element);
}
