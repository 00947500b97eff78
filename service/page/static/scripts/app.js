// The page's main script; it connects the parts. For each photo, the network's result for a small copy is fetched once,
// and the adjustments are made in the browser. The photo itself is sent only for its finished file.

import { getFile, hasKey, Problem } from "./api.js";
import { CARD_SIDE, Comparison } from "./comparison.js";
import { Controls } from "./controls.js";
import { mayPass } from "./explain.js";
import { FileButtons } from "./files.js";
import { Film } from "./film.js";
import { Finals } from "./finals.js";
import { Histogram } from "./histogram.js";
import { watchForFiles } from "./intake.js";
import { KeyDialog } from "./keys.js";
import { Library } from "./library.js";
import { isAway, Offer } from "./offer.js";
import { DONE, FAILED, Photo } from "./photo.js";
import { Previews } from "./previews.js";
import { ProblemBox } from "./problems.js";
import { Queue } from "./queue.js";
import { Session } from "./session.js";
import { inference } from "./settings.js";
import { Shortcuts } from "./shortcuts.js";
import { showBeforeAndAfter } from "./showcase.js";
import { Stage } from "./stage.js";
import { Thumbnails } from "./thumbnails.js";
import { Viewer } from "./viewer.js";

const PREVIEW_SIDES = [1024, 2048]; // smallest and largest long side of previews in pixels; between them, the screen's
const STALE = ["model-not-found", "model-not-ready"]; // problems that come from an old list of models
const LIST_MILLISECONDS = 1000; // to wait for the list of models before photos are restored

const $ = (id) => document.getElementById(id);
const dots = Math.round(Math.max(screen.width, screen.height) * devicePixelRatio);
const previews = new Previews(Math.min(Math.max(PREVIEW_SIDES[0], dots), PREVIEW_SIDES[1]));
const finals = new Finals((photo) => previews.check(photo));
const thumbnails = new Thumbnails();
const queue = new Queue(previews);
const session = new Session();
const library = new Library({ film: new Film($("film"), thumbnails), queue, previews, session });
const problems = new ProblemBox($("problem"));
const offer = new Offer();
const controls = new Controls($("controls"), {
  sliders: $("sliders"),
  experts: $("experts"),
  presets: $("presets"),
  sentence: $("sentence"),
});
const viewer = new Viewer({ stage: $("stage"), canvas: $("canvas"), divider: $("divider"), slider: $("position") });
const stage = new Stage({
  at: $,
  viewer,
  histogram: new Histogram($("histogram")),
  finals,
  side: previews.side,
  output: () => controls.output,
});
const comparison = new Comparison($("cards"), {
  before: async (photo, signal) => (await previews.copy(photo, { signal })).blob,
  answer: (photo, model, signal) =>
    previews.get(photo, previews.wanted(photo, photo.settings, controls.named(model)), { signal, smaller: CARD_SIDE }),
});
const keys = new KeyDialog({
  dialog: $("key-dialog"),
  form: $("key-form"),
  input: $("key"),
  problem: $("key-problem"),
  decline: $("no-key"),
});
const files = new FileButtons({ at: $, library, stage, finals, controls, problems, tell });

// Photos

library.onchoose = (photo) => {
  const hadFocus = $("welcome").contains(document.activeElement);
  $("welcome").hidden = photo !== null;
  $("workspace").hidden = photo === null;
  document.body.classList.toggle("working", photo !== null);
  problems.settle(null);
  if (photo === null) {
    $("file").focus();
    if (problems.subject) problems.hide();
  } else {
    if (hadFocus) library.film.focus(photo);
    controls.show(photo.settings);
  }
  files.allow();
  tellQueue();
  look(photo);
  compare();
};

library.onstate = (photo) => {
  tellQueue();
  const { state, error } = photo;
  if (state === DONE) problems.settle(photo);
  if (state === FAILED && (isAway(error) || STALE.includes(error.slug))) offer.check();
  if (photo === library.chosen) {
    look(photo);
    if (state === DONE && comparison.size === 0) compare();
  } else if (state === FAILED && needsKey(error)) fail(photo);
};

library.onsettings = (photo, asks, previous) => {
  thumbnails.grade(photo);
  if (photo !== library.chosen) return;
  controls.show(photo.settings);
  if (!asks) stage.grade();
  const answers = [previous, photo.settings].map((settings) => JSON.stringify(inference(settings, "")));
  if (answers[0] !== answers[1]) return compare();
  comparison.grade(photo.settings);
  comparison.mark(photo.settings.model || controls.first?.value);
};

stage.onproblem = (error, again = null) => {
  stage.done("");
  tell(error, { again, subject: library.chosen });
};

library.history.onchange = () => {
  const focused = document.activeElement;
  const [undo, redo] = [$("undo"), $("redo")];
  undo.disabled = !library.history.canUndo;
  redo.disabled = !library.history.canRedo;
  // A disabled button loses the focus.
  if (focused === undo && undo.disabled) redo.focus();
  if (focused === redo && redo.disabled) undo.focus();
};

queue.onprogress = (photo, progress) => photo === library.chosen && stage.progress(progress);

/** Show as much of the chosen photo as is available. */
function look(photo) {
  if (photo && photo.state !== FAILED) {
    if (problems.subject instanceof Photo && problems.subject !== photo) problems.hide();
    if (photo.state !== DONE) stage.busy("Enhancing…");
  }
  stage.show(photo);
  if (photo?.state === FAILED) fail(photo);
  files.allow();
}

function fail(photo) {
  if (photo === library.chosen) {
    stage.done("");
    comparison.stop();
  }
  // A cause that passes has often hit other photos, too.
  const failed = library.photos.filter(({ state, error }) => state === FAILED && mayPass(error));
  const label = failed.length > 1 ? "Try all again" : "Try again";
  const again = () => library.retry(({ error }) => mayPass(error));
  tell(photo.error, { subject: photo, name: photo.name, label, again });
}

/** Show an error, unless it is about a photo that is not on display; ask for a key if one is missing. */
function tell(error, { again = null, subject = null, ...texts } = {}) {
  if (needsKey(error)) keys.ask(error.message, subject ?? again, again);
  const isSeen = subject === library.chosen || !library.photos.includes(subject);
  if (isSeen) problems.show(error, { again, subject, ...texts });
}

/** Whether another API key may help: none was given, or it does not allow this. */
function needsKey({ status }) {
  return status === 401 || (status === 403 && hasKey());
}

let mostLeft = 0;

/** Tell how many photos of several are done. These numbers are not read out, only the end is. */
function tellQueue() {
  const { photos } = library;
  const left = photos.filter(({ state }) => state !== DONE && state !== FAILED).length;
  const failed = photos.filter(({ state }) => state === FAILED).length;
  let text = "";
  if (left > 0 && photos.length > 1) text = `${photos.length - left} of ${photos.length}`;
  else if (left === 0 && mostLeft > 1) text = failed > 0 ? `${failed} failed` : "All done";
  mostLeft = left > 0 ? Math.max(mostLeft, left) : 0;
  $("queue").ariaLive = left > 0 ? "off" : "polite";
  if ($("queue").textContent !== text) $("queue").textContent = text;
}

/** Open or close the comparison, or restart it for the chosen photo. */
function compare() {
  const isOpen = !$("comparison").hidden;
  $("compare").setAttribute("aria-expanded", isOpen);
  $("compare").textContent = isOpen ? "Hide comparison" : "Compare all models";
  comparison.stop();
  if (!isOpen || !library.chosen || library.chosen.state === FAILED) return;
  comparison.run(library.chosen, controls.distinctModels);
  comparison.mark(library.chosen.settings.model || controls.first?.value);
}

// Settings

controls.oninput = (settings) => library.chosen && library.preview(settings);
controls.onchange = (settings) => library.chosen && library.set([library.chosen], settings);
controls.onoutput = () => stage.grade();
comparison.onchoose = (model) => controls.choose(model);
$("apply").addEventListener("click", () => {
  library.set(library.photos, library.chosen.settings);
  stage.done(`Settings applied to all ${library.photos.length} photos.`);
});
$("undo").addEventListener("click", () => library.history.undo());
$("redo").addEventListener("click", () => library.history.redo());

// Adding photos

function add(photos, wereMore) {
  library.add(photos);
  if (wereMore) {
    const detail = `The first ${photos.length} were added. Add the others when these are done.`;
    problems.show(new Problem(413, { title: "Too many photos at once", detail }, true));
  }
}

async function trySample(link) {
  try {
    const blob = await getFile(link.href);
    library.add([new File([blob], link.href.split("/").pop(), { type: blob.type })]);
  } catch (error) {
    tell(error, { again: () => trySample(link) });
  }
}

watchForFiles(document.querySelectorAll("input[type=file]"), add, (problem) => problems.show(problem));
for (const link of document.querySelectorAll("a[data-sample]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    trySample(link);
  });
}
for (const figure of document.querySelectorAll(".showcase")) showBeforeAndAfter(figure);
$("clear").addEventListener("click", () => $("clear-dialog").showModal());
$("clear-dialog").addEventListener("close", () => {
  if ($("clear-dialog").returnValue !== "clear") return;
  clear();
  session.clear();
});
session.oncleared = clear;

function clear() {
  files.stop();
  library.clear();
  finals.clear();
}

// View

function setSideBySide(wanted) {
  viewer.sideBySide = wanted;
  $("side-by-side").setAttribute("aria-pressed", wanted);
}

$("fit").addEventListener("click", () => viewer.fit());
$("actual").addEventListener("click", () => viewer.actualSize());
$("zoom-in").addEventListener("click", () => viewer.zoomIn());
$("zoom-out").addEventListener("click", () => viewer.zoomOut());
$("side-by-side").addEventListener("click", () => setSideBySide($("side-by-side").ariaPressed !== "true"));
$("compare").addEventListener("click", () => {
  $("comparison").hidden = !$("comparison").hidden;
  compare();
  if (!$("comparison").hidden) $("comparison").scrollIntoView({ block: "nearest" });
});

const shortcuts = new Shortcuts(
  {
    "+": () => viewer.zoomIn(),
    "=": () => viewer.zoomIn(),
    "-": () => viewer.zoomOut(),
    0: () => viewer.fit(),
    1: () => viewer.actualSize(),
    "Shift+ArrowLeft": () => viewer.step(1, 0),
    "Shift+ArrowRight": () => viewer.step(-1, 0),
    "Shift+ArrowUp": () => viewer.step(0, 1),
    "Shift+ArrowDown": () => viewer.step(0, -1),
    s: () => $("side-by-side").click(),
    n: () => library.next(1),
    p: () => library.next(-1),
    d: () => $("download").click(),
    "?": () => $("help").showModal(),
  },
  { z: () => library.history.undo(), "Shift+z": () => library.history.redo(), y: () => library.history.redo() },
);
shortcuts.onoriginal = (wanted) => (viewer.showsOriginal = wanted);
$("shortcuts-on").checked = shortcuts.areOn;
$("shortcuts-on").addEventListener("change", () => (shortcuts.areOn = $("shortcuts-on").checked));
$("open-help").addEventListener("click", () => $("help").showModal());

// The service

offer.onlist = (list) => {
  controls.offer(list);
  previews.limits = { ...previews.limits, ...list.limits };
  const loading = list.models.filter(({ state }) => state === "LOADING").map(({ name }) => name);
  library.usable = ({ model, denoise, ...settings }) => ({
    ...settings,
    model: controls.has(model) || loading.includes(model.split("/")[0]) ? model : "",
    denoise: list.restorer ? denoise : "auto",
  });
  library.correct();
  $("compare").hidden = controls.distinctModels.length < 2;
  if (library.chosen) controls.show(library.chosen.settings);
  library.retry(({ error }) => error.slug === "model-not-ready");
  if (comparison.size < controls.distinctModels.length) compare();
};
offer.onproblem = (error) => {
  const isOffline = error.status === 0 && offer.last;
  if (isOffline && controls.models.length === 0) offer.onlist(offer.last);
  $("offline").hidden = !isOffline;
  const isBusy = $("stage").getAttribute("aria-busy") === "true";
  if (!isOffline && !problems.isOpen && !isBusy) tell(error, { subject: offer, again: () => offer.ask() });
};
offer.onsettled = (isBack) => {
  $("offline").hidden = true;
  problems.settle(offer);
  if (isBack) library.retry(({ error }) => isAway(error));
};
previews.wholePixels = (model) => controls.wholePixels(model);
previews.takesExposure = (model) => controls.takesExposure(model);
keys.onkey = () => {
  problems.hide();
  offer.ask(); // it stops asking when a key is missing
  library.retry(({ error }) => error.status === 401 || error.status === 403);
};
problems.onleave = () => (library.chosen ? library.film.focus(library.chosen) : $("file").focus());
window.addEventListener("online", () => {
  offer.ask();
  library.retry(({ error }) => error.status === 0);
});
session.onfull = () => {
  const detail = "This browser has run out of storage. Your photos stay here until you close or reload the page.";
  problems.show(new Problem(507, { title: "Photos will not survive a reload", detail }, true), { subject: session });
};

$("insecure").hidden = isSecureContext;
navigator.serviceWorker?.register("service-worker.js").catch(() => {}); // without it, the page only works online
// Whether an answer is still the one that is wanted depends on what its model takes.
await Promise.race([offer.ask(), new Promise((resolve) => setTimeout(resolve, LIST_MILLISECONDS))]);
await library.restore();
document.body.dataset.ready = "";
