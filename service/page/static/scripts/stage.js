// The stage: the chosen photo's preview, its full detail when zoomed in, and the messages about it.

import { enhance } from "./api.js";
import { FINISHED, grading, SEEN_SIDE } from "./grading.js";
import { percent } from "./histogram.js";
import { DONE } from "./photo.js";
import { decode, small } from "./pixels.js";
import { finished } from "./settings.js";
import { duration, showTiming } from "./timing.js";

const FULL_DETAIL_DELAY = 500; // milliseconds after the last change of zoom or settings
const VIEWED = ["jpeg", "webp", "avif"];
const FOR_VIEWING = { format: "webp", quality: 92 }; // of what would be large, or what browsers cannot show

export class Stage {
  /** Called with an error, and what to do about it. */
  onproblem = (error, again) => {};

  #photo = null;
  #scale = 0;
  #revealed = new WeakSet();
  #before = null;
  #seen = null;
  #shown = 0;
  #isFull = false;
  #timer = 0;
  #controller = null;

  /** `at` gives elements by their ids; previews have `side` pixels; `output()` gives format and quality of files. */
  constructor({ at, viewer, histogram, finals, side, output }) {
    Object.assign(this, { at, viewer, histogram, finals, side, output });
    viewer.onzoom = (scale) => {
      at("zoom").value = `${Math.round(100 * scale)} %`;
      this.#scale = scale;
      this.#wantDetail();
    };
    viewer.onlost = () => {
      this.#before = null;
      if (this.#photo) this.show(this.#photo);
    };
  }

  /** Whether the chosen photo is there to be looked at. */
  get hasPhoto() {
    return this.#photo !== null;
  }

  /** Show a photo: its answer if there is one, else what there is of it. */
  async show(photo) {
    const turn = ++this.#shown;
    this.#forgetDetail();
    if (photo !== this.#photo) this.#before = null;
    const isSame = photo === this.#photo;
    if (!photo?.copy) return this.#empty(photo ? "waiting" : "failed");
    try {
      if (this.#before !== photo.copy) {
        const { bitmap } = await decode(photo.copy.blob, this.viewer.longestSide);
        if (turn !== this.#shown) return;
        this.#photo = photo;
        this.#before = photo.copy;
        this.#empty(null);
        this.histogram.takeBefore(bitmap);
        this.#seen = { x: small(bitmap, SEEN_SIDE), y: null };
        this.viewer.showBefore(bitmap, photo.copy.size, isSame);
      }
      if (photo.state !== DONE) return;
      await this.#showAnswer(turn);
      if (turn === this.#shown && !this.#revealed.has(photo)) this.viewer.reveal();
      this.#revealed.add(photo);
    } catch (error) {
      if (turn === this.#shown) this.onproblem(error);
    }
  }

  /** Follow the settings of the photo: no request, no waiting, except for detail that only the service has. */
  grade() {
    const photo = this.#photo;
    if (!photo?.answer || !this.#seen?.y) return;
    if (this.#isFull) {
      this.#forgetDetail();
      this.#showAnswer(this.#shown).catch(() => {});
    } else this.#followLight();
    this.#wantDetail();
  }

  busy(text, progress = null) {
    this.at("stage").setAttribute("aria-busy", "true");
    this.at("message").textContent = text;
    const bar = this.at("progress");
    if (progress === null) bar.removeAttribute("value");
    else bar.value = progress;
  }

  done(text) {
    this.at("stage").setAttribute("aria-busy", "false");
    this.at("message").textContent = text;
  }

  /** Say how far a request is. */
  progress({ phase, done, total }) {
    if (phase === "upload" && done < total) {
      return this.busy(`Uploading ${megabytes(done)} of ${megabytes(total)} MB`, done / total);
    }
    this.busy(phase === "download" ? "Receiving …" : "Enhancing …");
  }

  async #showAnswer(turn) {
    const photo = this.#photo;
    const { blob, report } = photo.answer;
    const { bitmap } = await decode(blob, this.viewer.longestSide);
    if (turn !== this.#shown) return bitmap.close();
    this.histogram.takeAfter(bitmap);
    this.#seen.y = small(bitmap, SEEN_SIDE, this.#seen.x);
    this.viewer.showAfter(bitmap, grading(photo.settings, report, this.#seen));
    const light = this.#followLight();
    this.#describe(report);
    const change = `${percent(light.before)} before, ${percent(light.after)} after`;
    this.done(`Enhanced in ${duration(report.elapsed)}. Mean light ${change}.`);
    this.#wantDetail();
  }

  #followLight() {
    const numbers = grading(this.#photo.settings, this.#photo.answer.report, this.#seen);
    this.viewer.grade(numbers);
    const light = this.histogram.draw(numbers);
    this.at("light").textContent = `${percent(light.before)} → ${percent(light.after)}`;
    return light;
  }

  /** Nothing to show of the chosen photo, and why: then the one before it must not seem to be it. */
  #empty(why) {
    const bench = document.querySelector(".bench");
    if (why === null) return delete bench.dataset.empty;
    bench.dataset.empty = why;
    this.#photo = null;
    this.viewer.clear();
  }

  /** Ask for the full detail, a moment later, where the preview has less than is looked at. */
  #wantDetail() {
    clearTimeout(this.#timer);
    const photo = this.#photo;
    if (!photo || photo.state !== DONE || this.#isFull || this.#controller) return;
    const { size } = photo.copy;
    const limit = Math.min(1, this.side / Math.max(size.width, size.height));
    if (limit < 1 && this.#scale > 1.05 * limit) {
      const load = () => this.#loadDetail(photo).catch((error) => this.#noDetail(error));
      this.#timer = setTimeout(load, FULL_DETAIL_DELAY);
    }
  }

  /** The finished file, which is what is downloaded, and the photo at full size. */
  async #loadDetail(photo) {
    const controller = (this.#controller = new AbortController());
    const { signal } = controller;
    const onprogress = (progress) => signal.aborted || this.progress(progress);
    this.busy("Loading full detail …");
    const options = finished(photo.settings, viewable(photo, this.output()));
    const { blob, report } = await this.finals.get(photo, options, { signal, onprogress });
    const before = await this.#original(photo, { signal, onprogress });
    const { bitmap } = await decode(blob, this.viewer.longestSide);
    signal.throwIfAborted();
    this.#controller = null;
    this.#isFull = true;
    this.viewer.showBefore(before, report.size, true);
    this.viewer.showAfter(bitmap, FINISHED);
    this.done("Full detail, as it will be downloaded.");
  }

  async #original(photo, handlers) {
    const side = this.viewer.longestSide;
    if (!photo.byService) {
      try {
        return (await decode(photo.file, side)).bitmap;
      } catch {
        // The browser cannot decode it; the service can.
      }
    }
    const { blob } = await enhance(photo.file, { strength: 0, format: "webp", quality: 95 }, handlers);
    return (await decode(blob, side)).bitmap;
  }

  #noDetail(error) {
    if (error.name === "AbortError") return;
    this.#controller = null;
    this.done("");
    this.onproblem(error, () => this.#wantDetail());
  }

  #forgetDetail() {
    clearTimeout(this.#timer);
    this.#controller?.abort();
    this.#controller = null;
    this.#isFull = false;
  }

  #describe({ model, detail, gate, ...report }) {
    const { width, height } = this.#photo.copy.size;
    this.at("size").textContent = `${width} × ${height}, ${((width * height) / 1e6).toFixed(1)} MP`;
    this.at("answered").textContent = model.replace("/", ", version ");
    this.at("rendered").textContent = detail;
    this.at("gated").textContent = gate > 0.995 ? "dark: full enhancement" : `well lit: ${percent(gate)} of it`;
    showTiming(this.at("timing"), report);
  }
}

/** How a file is written that is to be looked at: as it will be downloaded, unless that is lossless. */
function viewable(photo, output) {
  const format = output.format || photo.file.type.split("/")[1];
  return VIEWED.includes(format) ? output : FOR_VIEWING;
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(1);
}
