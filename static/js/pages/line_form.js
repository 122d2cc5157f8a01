/** Shows only the fields that the choice beside them needs, and adds stations. Without it, all are shown. */

const form = document.querySelector('[data-page="line-form"]');

function showFor(container, choice) {
  container.querySelectorAll("[data-shown-for]").forEach((element) => {
    element.hidden = !element.dataset.shownFor.split(" ").includes(choice);
  });
}

function mountStation(station) {
  const source = station.querySelector("select[name$=-source]");
  const update = () => showFor(station, source.value);
  source.addEventListener("change", update);
  update();
}

const profile = form.querySelector("[name=plc_profile]");
const plc = profile.closest(".card-body");
profile.addEventListener("change", () => showFor(plc, profile.value));
showFor(plc, profile.value);

form.querySelectorAll("[data-station]").forEach(mountStation);

form.querySelector("[data-add-station]").addEventListener("click", () => {
  const total = form.querySelector("[name=stations-TOTAL_FORMS]");
  const holder = document.createElement("div");
  holder.innerHTML = form.querySelector("[data-station-template]").innerHTML.replaceAll("__prefix__", total.value);
  const station = holder.firstElementChild;
  station.querySelector("[name$=-position]").value = total.value;
  form.querySelector("[data-stations]").append(station);
  total.value = Number(total.value) + 1;
  mountStation(station);
  station.querySelector("input:not([type=hidden])").focus();
});
