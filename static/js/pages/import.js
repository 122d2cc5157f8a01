/** Uploading: a ZIP with a progress bar, single images one by one with what came of each. */
import { toast } from "../lib/toast.js";
import { upload } from "../lib/upload.js";

const form = document.getElementById("upload-form");
if (form) mount(form);

function isArchive(file) {
  return /\.zip$/i.test(file.name) || file.type === "application/zip";
}

function mount(form) {
  const input = form.querySelector("input[type=file]");
  const zone = document.getElementById("drop-zone");
  const progress = form.querySelector(".upload-progress");
  const results = document.getElementById("upload-results");

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const files = [...input.files];
    if (results && files.length && !files.some(isArchive)) bringImages(files);
    else bringForm();
  });

  if (zone) mountDropZone(zone, input, () => form.requestSubmit());

  async function bringForm() {
    const body = new FormData(form); // before the inputs are disabled: those are left out
    busy(true);
    try {
      const answer = await upload(form.action || location.href, body, say("Uploading"));
      location.assign(answer.body.url);
    } catch (error) {
      busy(false);
      progress.hidden = true;
      if (!showErrors(error.body ?? {})) toast(error.message, "error");
    }
  }

  /** Puts what the server said beside the fields it said it of. @returns {boolean} whether there was any */
  function showErrors(errors) {
    form.querySelectorAll(".invalid-feedback").forEach((element) => element.remove());
    const shown = Object.entries(errors).filter(([name]) => form.elements[name]);
    for (const [name, reasons] of shown) {
      const said = document.createElement("div");
      said.className = "invalid-feedback d-block";
      said.setAttribute("role", "alert");
      said.textContent = reasons.join(" ");
      form.elements[name].after(said);
    }
    return shown.length > 0;
  }

  async function bringImages(files) {
    busy(true);
    results.replaceChildren();
    for (const [done, file] of files.entries()) {
      say(`${done + 1} of ${files.length}: ${file.name}`)(done / files.length);
      await bringImage(file);
    }
    say(`${files.length} of ${files.length}`)(1);
    input.value = "";
    busy(false);
  }

  async function bringImage(file) {
    const fields = new FormData();
    fields.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
    fields.set("image", file);
    try {
      const { status, body: image } = await upload(form.dataset.imagesUrl, fields, () => {});
      report(file.name, status === 201 ? "is in" : `is byte-identical to ${image.name}`, "green");
    } catch (error) {
      report(file.name, error.message, "red");
    }
  }

  function report(name, text, colour) {
    const item = document.createElement("li");
    item.innerHTML = '<span class="status-dot"></span><strong></strong><span></span>';
    item.children[0].classList.add(`bg-${colour}`);
    item.children[1].textContent = name;
    item.children[2].textContent = text;
    results.prepend(item);
  }

  function say(text) {
    progress.hidden = false;
    progress.querySelector(".upload-said").textContent = text;
    return (share) => {
      progress.querySelector("progress").value = share;
      progress.querySelector(".upload-share").textContent = `${Math.round(100 * share)} %`;
      if (share === 1 && text === "Uploading") progress.querySelector(".upload-said").textContent = "The server takes it in";
    };
  }

  function busy(isBusy) {
    form.querySelectorAll("button, input[type=file]").forEach((element) => (element.disabled = isBusy));
  }
}

function mountDropZone(zone, input, submit) {
  const over = (isOver) => (event) => {
    event.preventDefault();
    zone.classList.toggle("is-over", isOver);
  };
  zone.addEventListener("dragover", over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", (event) => {
    over(false)(event);
    input.files = event.dataTransfer.files;
    if (input.files.length) submit();
  });
}
