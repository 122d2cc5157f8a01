import { clockTime } from "./time.js";

/**
 * Say in plain sight that what is shown is old, so that nobody takes an old verdict for a fresh one.
 * @param {Element} root  holds `[data-stale]`; gets the class `is-stale`
 * @param {Date|null} since
 */
export function sayStale(root, since) {
  const banner = root.querySelector("[data-stale]");
  root.classList.toggle("is-stale", since !== null);
  banner.hidden = since === null;
  if (since) {
    const time = clockTime(since, root.dataset.timeZone);
    banner.querySelector("[data-stale-text]").textContent = `Stale since ${time}: the server can't be reached. Trying again.`;
  }
}
