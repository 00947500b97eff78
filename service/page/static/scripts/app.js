// The page: photos come in, the network's answer is fetched once, and everything after it happens here.

import { Answers } from "./answers.js";
import { getFile, hasKey, listModels, Problem, useKey } from "./api.js";
import { Comparison } from "./comparison.js";
import { Controls } from "./controls.js";
import { downloadAll, downloadOne } from "./download.js";
import { grading } from "./grading.js";
import { Histogram, percent } from "./histogram.js";
import { watchForFiles } from "./intake.js";
import { Film } from "./photos.js";
import { decode, decodePhoto, decodePhotoByService } from "./pixels.js";
import { duration, showTiming } from "./timing.js";
import { Viewer } from "./viewer.js";

const MODELS_POLL_MILLISECONDS = 1000;
const UNCHANGED_POLLS = 3; // after which a model that is not being loaded is not waited for
const KEY_CHARACTERS = /^[!-~]+$/; // what a header can carry

const $ = (id) => document.getElementById(id);
const answers = new Answers();
const controls = new Controls($("controls"));
const film = new Film($("film"));
const histogram = new Histogram($("histogram"));
const viewer = new Viewer({ stage: $("stage"), canvas: $("canvas"), divider: $("divider"), slider: $("position") });
const comparison = new Comparison($("cards"), (photo, model, signal) =>
  answers.get(photo, controls.inference(model), signal),
);

/** What is on the stage: the photo, its size in pixels, and the gate that the service measured. */
let shown = { photo: null, size: null, gate: 1 };
let controller = new AbortController();
let keyWasTried = false;
let isDownloading = false;
let modelsTimer = 0;
let offered = { text: "", polls: 0 };
const waitingForKey = new Set();

/** Show a photo, through all models too where these are open. */
function show(photo) {
  develop(photo);
  compare();
}

/** Show a photo, or show it anew after a control changed that the network's answer depends on. */
async function develop(photo) {
  controller.abort();
  const { signal } = (controller = new AbortController());
  busy("Enhancing …");
  try {
    const pending = answers.get(photo, controls.inference(), signal);
    pending.catch(() => {}); // it is awaited below, and may fail before that
    const isNew = shown.photo !== photo;
    if (isNew) await showBefore(photo, await decodePhoto(photo.file, viewer.longestSide, signal), signal);
    const { blob, report } = await pending;
    const { bitmap, size } = await decode(blob, viewer.longestSide);
    if (size.width !== shown.size.width || size.height !== shown.size.height) {
      // The browser turned the photo otherwise than the service did, whose word counts.
      await showBefore(photo, await decodePhotoByService(photo.file, viewer.longestSide, signal), signal);
    }
    signal.throwIfAborted();
    histogram.takeAfter(bitmap);
    viewer.showAfter(bitmap);
    shown.gate = report.gate;
    const light = followLight();
    describe(report);
    done(`Enhanced in ${duration(report.elapsed)}. Mean light ${percent(light.before)} before, ${percent(light.after)} after.`);
    if (isNew) viewer.reveal();
    allowDownloads();
  } catch (error) {
    if (signal.aborted) return;
    if (shown.photo !== photo) empty(true);
    explain(error, () => show(photo));
  }
}

async function showBefore(photo, { bitmap, size }, signal) {
  signal.throwIfAborted();
  shown = { photo, size, gate: 1 };
  empty(false);
  histogram.takeBefore(bitmap);
  viewer.showBefore(bitmap);
  followLight();
}

/** Whether there is nothing to show of the chosen photo: then the one before it must not seem to be it. */
function empty(isEmpty) {
  document.querySelector(".bench").toggleAttribute("data-empty", isEmpty);
  if (!isEmpty) return;
  shown = { photo: null, size: null, gate: 1 };
  $("download").disabled = true;
  comparison.stop();
}

/** Bring strength, protection and gate to everything that shows them: no request, no waiting. */
function followLight() {
  comparison.grade(controls.light);
  if (!shown.photo) return null;
  const numbers = grading(controls.light, shown.gate);
  viewer.grade(numbers);
  const light = histogram.draw(numbers);
  $("light").textContent = `${percent(light.before)} → ${percent(light.after)}`;
  return light;
}

function compare() {
  const isOpen = !$("comparison").hidden;
  $("compare").setAttribute("aria-expanded", isOpen);
  comparison.stop();
  if (!isOpen || !film.chosen) return;
  comparison.run(film.chosen, controls.distinctModels, controls.light);
  comparison.mark(controls.model);
}

function describe({ model, detail, gate, ...report }) {
  const { width, height } = shown.size;
  $("size").textContent = `${width} × ${height}, ${((width * height) / 1e6).toFixed(1)} MP`;
  $("answered").textContent = model.replace("/", ", version ");
  $("rendered").textContent = detail;
  $("gated").textContent = gate > 0.995 ? "dark: gets all of it" : `well lit: gets ${percent(gate)} of it`;
  showTiming($("timing"), report);
}

function busy(text) {
  $("stage").setAttribute("aria-busy", "true");
  $("message").textContent = text;
  $("problem").hidden = true;
}

function done(text) {
  $("stage").setAttribute("aria-busy", "false");
  $("message").textContent = text;
}

/** Say what went wrong; `again`, if given, is offered as a way out. */
function explain(error, again = null) {
  done("");
  if (error instanceof Problem && error.status === 401) askForKey(error.message, again);
  $("problem").hidden = false;
  $("problem-title").textContent = error.title ?? "Something went wrong";
  $("problem-detail").textContent = error.message;
  $("again").hidden = !again;
  $("again").onclick = again;
  $("problem").scrollIntoView({ block: "nearest" });
}

/** Ask for a key, once for everything that waits for one, and then do that again. */
function askForKey(reason, again) {
  if (again) waitingForKey.add(again);
  $("key-problem").textContent = keyWasTried ? reason : "";
  if ($("key-dialog").open) return;
  $("key-dialog").showModal();
  hideClosedLinks();
}

function takeKey(event) {
  event.preventDefault();
  const key = $("key").value.trim();
  if (!KEY_CHARACTERS.test(key)) {
    $("key-problem").textContent = "A key has only unaccented letters, digits and punctuation, and no spaces.";
    return $("key").focus();
  }
  useKey(key);
  keyWasTried = true;
  $("key-dialog").close();
  $("problem").hidden = true;
  waitingForKey.add(offerModels); // which was given up where somebody did without a key
  const todo = [...waitingForKey];
  waitingForKey.clear();
  for (const again of todo) again();
}

/** Links are followed without the key: hide those that would lead to a refusal. */
async function hideClosedLinks() {
  for (const link of document.querySelectorAll("nav a")) {
    const answer = await fetch(link.href).catch(() => null);
    link.hidden = answer?.status === 401;
  }
}

/** Offer the models, again and again while some of them are still being loaded. */
async function offerModels() {
  try {
    const list = await listModels();
    if ($("again").onclick === offerModels) $("problem").hidden = true;
    const text = JSON.stringify(list);
    offered = { text, polls: text === offered.text ? offered.polls + 1 : 0 };
    if (offered.polls === 0) controls.offer(list);
    $("compare").hidden = controls.distinctModels.length < 2;
    if (isFinal(list)) {
      if (comparison.size < controls.distinctModels.length) compare();
      return;
    }
  } catch (error) {
    if (error.status === 401 || error.status === 403) return explain(error, offerModels);
    // The rest of the list is no matter to bother a person with, and what is said of a photo stays.
    const isBusy = $("stage").getAttribute("aria-busy") === "true";
    if (controls.models.length === 0 && $("problem").hidden && !isBusy) explain(error, offerModels);
  }
  clearTimeout(modelsTimer);
  modelsTimer = setTimeout(offerModels, MODELS_POLL_MILLISECONDS);
}

/** Whether no more models are to be expected: those without a reason may be next, or may not be wanted at all. */
function isFinal({ models }) {
  if (!models.some(({ ready }) => ready)) return false;
  if (models.every(({ ready, reason }) => ready || reason)) return true;
  return offered.polls >= UNCHANGED_POLLS && !models.some(({ state }) => state === "LOADING");
}

function allowDownloads() {
  $("download").disabled = isDownloading || !shown.photo;
  $("download-all").disabled = isDownloading;
}

/** Do `work`, one download at a time. */
async function download(work) {
  isDownloading = true;
  allowDownloads();
  busy("Making the file …");
  try {
    await work();
  } catch (error) {
    explain(error, () => download(work));
  } finally {
    isDownloading = false;
    allowDownloads();
  }
}

async function downloadChosen() {
  await downloadOne(film.chosen, controls.file);
  done("Downloaded.");
}

async function downloadEach() {
  const photos = [...film.photos]; // some may be removed meanwhile
  const tell = (count) => ($("message").textContent = `Making file ${count + 1} of ${photos.length} …`);
  const failures = await downloadAll(photos, controls.file, tell);
  done(`${photos.length - failures.length} of ${photos.length} downloaded.`);
  if (failures.length > 0) {
    const each = failures.map(({ photo, error }) => `${photo.name}: ${error.message}`).join(" · ");
    explain(new Problem(0, { title: `${failures.length} of ${photos.length} failed`, detail: each }));
  }
}

async function trySample(link) {
  try {
    const blob = await getFile(link.href);
    film.add([new File([blob], link.href.split("/").pop(), { type: blob.type })]);
  } catch (error) {
    explain(error, () => trySample(link));
  }
}

film.onchoose = (photo) => {
  $("welcome").hidden = photo !== null;
  $("workspace").hidden = photo === null;
  $("download-all").hidden = film.photos.length < 2;
  if (photo) return show(photo);
  controller.abort();
  empty(true);
  done("");
  $("problem").hidden = true;
  $("file").focus();
};
controls.onlight = followLight;
controls.oninference = (every) => {
  if (film.chosen) develop(film.chosen);
  if (every) compare();
  else comparison.mark(controls.model);
};
comparison.onchoose = (model) => {
  controls.choose(model);
  $("stage").scrollIntoView({ block: "nearest" });
};
viewer.onzoom = (scale) => ($("zoom").textContent = `${Math.round(100 * scale)} %`);
viewer.onlost = () => {
  shown.photo = null;
  if (film.chosen) develop(film.chosen);
};

watchForFiles([$("file"), $("more")], (files) => film.add(files));
for (const link of document.querySelectorAll(".samples a")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    trySample(link);
  });
}
$("fit").addEventListener("click", () => viewer.fit());
$("actual").addEventListener("click", () => viewer.actualSize());
$("zoom-in").addEventListener("click", () => viewer.zoomIn());
$("zoom-out").addEventListener("click", () => viewer.zoomOut());
$("compare").addEventListener("click", () => {
  $("comparison").hidden = !$("comparison").hidden;
  compare();
  $("comparison").scrollIntoView({ block: "nearest" });
});
$("key-form").addEventListener("submit", takeKey);
$("key-dialog").addEventListener("cancel", () => waitingForKey.clear());
$("no-key").addEventListener("click", () => {
  waitingForKey.clear();
  $("key-dialog").close();
});
$("download").addEventListener("click", () => download(downloadChosen));
$("download-all").addEventListener("click", () => download(downloadEach));
if (hasKey()) hideClosedLinks();
offerModels();
