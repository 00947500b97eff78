// The stage shows the chosen photo's preview, its full detail when zoomed in, and messages about it.

import { enhance } from "./api.js";
import { FINISHED, grading, SEEN_SIDE } from "./grading.js";
import { percent } from "./histogram.js";
import { DONE } from "./photo.js";
import { decode, small } from "./pixels.js";
import { finished } from "./settings.js";
import { duration, showTiming } from "./timing.js";

const FULL_DETAIL_DELAY = 500; // milliseconds after the last change of zoom or settings
const VIEWED = ["jpeg", "webp", "avif"];
const FOR_VIEWING = { format: "webp", quality: 92 }; // instead of formats that are large, or that browsers cannot show

export class Stage {
  /** Called with an error, and a function that tries again, if there is one. */
  onproblem = (error, again) => {};

  #photo = null;
  #scale = 0;
  #revealed = new WeakSet();
  #before = null;
  #seen = null;
  #shown = 0;
  #isFull = false;
  #isReturning = false; // from full detail to the preview, which is being decoded
  #timer = 0;
  #controller = null;

  /** `at(id)` returns an element, `output()` the format and quality of files; `side` is the long side of previews. */
  constructor({ at, viewer, histogram, finals, side, output }) {
    Object.assign(this, { at, viewer, histogram, finals, side, output });
    viewer.onzoom = (scale) => {
      at("zoom").value = `${Math.round(100 * scale)}%`;
      this.#scale = scale;
      this.#wantDetail();
    };
    viewer.onlost = () => {
      this.#before = null;
      if (this.#photo) this.show(this.#photo);
    };
  }

  /** Whether a photo is shown. */
  get hasPhoto() {
    return this.#photo !== null;
  }

  /** Show a photo, with its answer if there is one; without a copy of it, show nothing. */
  async show(photo) {
    const turn = ++this.#shown;
    this.#forgetDetail();
    if (photo !== this.#photo) this.#before = null;
    const isSame = photo === this.#photo;
    if (!photo?.copy) return this.#empty(photo ? "waiting" : "failed");
    try {
      if (this.#before !== photo.copy) {
        const { bitmap } = await decode(photo.copy.blob, this.viewer.longestSide);
        if (turn !== this.#shown) return bitmap.close();
        this.#forgetDetail(); // of the previous photo
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

  /** Apply the settings of the photo. Only full detail has to be requested again. */
  grade() {
    const photo = this.#photo;
    if (!photo?.answer || !this.#seen?.y) return;
    const [wasFull, wasLoading] = [this.#isFull, this.#controller !== null];
    this.#forgetDetail();
    if (wasFull) this.#returnToPreview();
    else if (!this.#isReturning) this.#followLight();
    if (wasLoading) this.done("");
    this.#wantDetail();
  }

  /** Show the preview again; the settings are applied once it has been decoded. */
  async #returnToPreview() {
    this.#isReturning = true;
    try {
      await this.#showAnswer(this.#shown);
    } catch (error) {
      this.onproblem(error);
    } finally {
      this.#isReturning = false;
    }
  }

  busy(text, progress = null) {
    this.at("stage").setAttribute("aria-busy", "true");
    this.at("message").ariaLive = progress === null ? "polite" : "off"; // numbers that change are not read out
    this.at("message").textContent = text;
    const bar = this.at("progress");
    if (progress === null) bar.removeAttribute("value");
    else bar.value = progress;
  }

  done(text) {
    this.at("stage").setAttribute("aria-busy", "false");
    this.at("message").ariaLive = "polite";
    this.at("message").textContent = text;
  }

  /** Show the progress of a request, as reported by `enhance`. */
  progress({ phase, done, total }) {
    if (phase === "upload" && done < total) {
      return this.busy(`Uploading ${megabytes(done)} of ${megabytes(total)} MB`, done / total);
    }
    this.busy(phase === "download" ? "Receiving…" : "Enhancing…");
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
    this.done(`Enhanced in ${duration(report.elapsed)}. Mean brightness: ${change}.`);
    this.#wantDetail();
  }

  #followLight() {
    const numbers = grading(this.#photo.settings, this.#photo.answer.report, this.#seen);
    this.viewer.grade(numbers);
    const light = this.histogram.draw(numbers);
    this.at("light").textContent = `${percent(light.before)} → ${percent(light.after)}`;
    return light;
  }

  /** Show nothing, `why` being "waiting" or "failed", so that the previous photo does not seem to be the chosen one. */
  #empty(why) {
    const bench = document.querySelector(".bench");
    if (why === null) return delete bench.dataset.empty;
    bench.dataset.empty = why;
    this.#photo = null;
    this.viewer.clear();
  }

  /** Request full detail after a short delay, if the photo is shown larger than the preview. */
  #wantDetail() {
    clearTimeout(this.#timer);
    const photo = this.#photo;
    if (!photo || photo.state !== DONE || this.#isFull || this.#controller) return;
    const { size } = photo.copy;
    const limit = Math.min(1, this.side / Math.max(size.width, size.height));
    if (limit < 1 && this.#scale > 1.05 * limit) {
      this.#timer = setTimeout(() => this.#loadDetail(photo), FULL_DETAIL_DELAY);
    }
  }

  /** Load the finished file, the same as for the download, and the original at full size. */
  async #loadDetail(photo) {
    const controller = (this.#controller = new AbortController());
    const { signal } = controller;
    const onprogress = (progress) => signal.aborted || this.progress(progress);
    const bitmaps = [];
    this.busy("Loading full detail…");
    try {
      const options = finished(photo.settings, viewable(photo, this.output()));
      const { blob, report } = await this.finals.get(photo, options, { signal, onprogress });
      bitmaps.push(await this.#original(photo, { signal, onprogress }));
      bitmaps.push((await decode(blob, this.viewer.longestSide)).bitmap);
      signal.throwIfAborted();
      const [before, after] = bitmaps.splice(0);
      this.#controller = null;
      this.#isFull = true;
      this.viewer.showBefore(before, report.size, true);
      this.viewer.showAfter(after, FINISHED);
      this.done("Full detail, as it will be downloaded.");
    } catch (error) {
      for (const bitmap of bitmaps) bitmap.close();
      if (signal.aborted) return;
      this.#controller = null;
      this.onproblem(error, () => this.#wantDetail());
    }
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

  #forgetDetail() {
    clearTimeout(this.#timer);
    this.#controller?.abort();
    this.#controller = null;
    this.#isFull = false;
  }

  #describe({ model, detail, gate, restored = 0, ...report }) {
    const { width, height } = this.#photo.copy.size;
    this.at("size").textContent = `${width} × ${height}, ${((width * height) / 1e6).toFixed(1)} MP`;
    this.at("answered").textContent = model.replace("/", ", version ");
    this.at("rendered").textContent = detail;
    this.at("gated").textContent = gate > 0.995 ? "dark, fully enhanced" : `well lit, ${percent(gate)} enhanced`;
    this.at("denoised").textContent = restored > 0 ? `removed from ${percent(restored)} of the photo` : "not changed";
    showTiming(this.at("timing"), report);
  }
}

/** The format in which a file is requested for viewing: that of the download, unless it is lossless. */
function viewable(photo, output) {
  const format = output.format || photo.file.type.split("/")[1];
  return VIEWED.includes(format) ? output : FOR_VIEWING;
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(1);
}
