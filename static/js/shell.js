// What every page has: theme switch, toasts, confirmation before anything destructive.
import { dismissLater, toast } from "./lib/toast.js";

document.getElementById("theme-toggle")?.addEventListener("click", () => {
  const root = document.documentElement;
  const theme = root.getAttribute("data-bs-theme") === "dark" ? "light" : "dark";
  root.setAttribute("data-bs-theme", theme);
  localStorage.setItem("theme", theme);
  document.dispatchEvent(new CustomEvent("theme:changed", { detail: theme }));
});

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

document.querySelectorAll("[data-toast]").forEach(dismissLater);

document.addEventListener("htmx:responseError", (event) => {
  toast(`The server answered ${event.detail.xhr.status}. Nothing was changed.`, "error");
});
document.addEventListener("htmx:sendError", () => {
  toast("The server can't be reached. Nothing was changed.", "error");
});
