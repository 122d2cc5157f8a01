// Runs before the first paint, so that a dark page never flashes white. Not a module for that reason.
(() => {
  const stored = localStorage.getItem("theme"); // the administration pages share it, and know "auto" as well
  const dark =
    stored === "dark" || (stored !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.setAttribute("data-bs-theme", dark ? "dark" : "light");
})();
