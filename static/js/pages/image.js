/** One image's page: the keys press its own buttons. */

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches("input, textarea, select")) return;
  const key = event.key.toLowerCase();
  const button = document.querySelector(`#label-form [data-key="${CSS.escape(key)}"]`);
  const link = { arrowleft: "before", arrowright: "after" }[key];
  if (button) button.click();
  else if (link) document.getElementById(link)?.click();
});
