// One training job, live: state, progress, time left, curves, log.
import { draw } from "../lib/chart.js";
import { chartOf, stagesOf } from "../lib/curves.js";
import { liveSocket } from "../lib/socket.js";
import { timeLeft } from "../lib/eta.js";

const STATE_COLOURS = { queued: "secondary", running: "blue", done: "green", failed: "red", cancelled: "orange" };
const MAX_POINTS = 1200; // of a series; beyond, every second one goes

const page = document.querySelector('[data-page="job"]');
const part = (role) => document.querySelector(`[data-role="${role}"]`);
const first = JSON.parse(document.getElementById("job-row").textContent);

const shown = { job: first.job, curves: first.curves, samples: [], isLog: false, stage: null };

function badgeOf(state, text) {
  const badge = document.createElement("span");
  badge.className = `badge bg-${STATE_COLOURS[state] ?? "secondary"}-lt`;
  badge.textContent = text;
  return badge;
}

function showFolds() {
  for (const fold of shown.job.folds) {
    const row = document.querySelector(`[data-fold="${fold.fold}"]`);
    const cell = (name) => row.querySelector(`[data-part="${name}"]`);
    cell("state").replaceChildren(badgeOf(fold.state, fold.state_text));
    cell("progress").value = fold.progress;
    cell("percent").textContent = `${Math.round(100 * fold.progress)} %`;
  }
}

function showState() {
  const { job } = shown;
  const text = job.is_cancel_requested && job.state === "running" ? `${job.state_text} …` : job.state_text;
  part("state").replaceChildren(badgeOf(job.state, text));
  part("state").dataset.state = job.state;
  part("stage").textContent = job.stage_text;
  part("percent").textContent = `${Math.round(100 * job.progress)} %`;
  part("progress").value = job.progress;
  part("left").textContent = job.state === "running" ? timeLeft(shown.samples, part("left").dataset) : "";
  part("error").hidden = !job.error;
  part("error-text").textContent = job.error;
  const cancel = part("cancel");
  const resume = part("resume");
  if (cancel) cancel.hidden = job.is_finished;
  if (resume) resume.hidden = !["cancelled", "failed"].includes(job.state);
  const link = part("model-link");
  link.hidden = !job.model_url;
  if (job.model_url) link.href = job.model_url;
  showFolds();
}

function showStages(stages) {
  const select = part("curve-stage");
  select.hidden = stages.length < 2;
  if (select.options.length === stages.length) return;
  select.replaceChildren(...stages.map((stage) => new Option(stage, stage)));
}

/** The stage that was chosen, else the newest: it follows the training. */
function showCurves() {
  const stages = stagesOf(shown.curves);
  part("curves").hidden = stages.length === 0;
  part("no-curves").hidden = stages.length > 0;
  if (!stages.length) return;
  const stage = shown.stage ?? stages.at(-1);
  showStages(stages);
  part("curve-stage").value = stage;
  const { traces, layout } = chartOf(shown.curves, stage, shown.isLog);
  draw(part("curves"), traces, layout);
}

part("curve-stage").addEventListener("change", ({ target }) => {
  shown.stage = target.selectedIndex === target.options.length - 1 ? null : target.value;
  showCurves();
});

function addLog(text) {
  if (!text) return;
  const log = part("log");
  const isAtEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  log.append(text);
  if (isAtEnd) log.scrollTop = log.scrollHeight;
}

function takeRow(row) {
  shown.job = row.job;
  shown.curves = row.curves;
  part("log").textContent = row.log;
  part("log").scrollTop = part("log").scrollHeight;
}

function takeProgress(event) {
  shown.job = event.job;
  for (const [name, points] of Object.entries(event.points)) {
    const all = [...(shown.curves[name] ?? []), ...points];
    shown.curves[name] = all.length > MAX_POINTS ? all.filter((_, index) => index % 2 === 0) : all;
  }
  addLog(event.log);
}

function take(event) {
  const { attempts } = shown.job;
  if (event.kind === "row") takeRow(event);
  else takeProgress(event);
  if (shown.job.attempts !== attempts || shown.job.state !== "running") shown.samples = [];
  shown.samples.push([performance.now() / 1000, shown.job.progress]);
  part("stale").hidden = true;
  showState();
  if (event.kind === "row" || Object.keys(event.points).length) showCurves();
}

part("log-scale").addEventListener("change", (event) => {
  shown.isLog = event.target.checked;
  showCurves();
});

showState();
showCurves();
part("log").scrollTop = part("log").scrollHeight;
liveSocket(page.dataset.socket, {
  onMessage: take,
  onStale: (since) => {
    if (shown.job.is_finished) return;
    part("stale").hidden = false;
    part("stale-text").textContent = `${part("stale-text").dataset.text} ${since.toLocaleTimeString()}`;
  },
});
