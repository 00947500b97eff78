// The stage shows the chosen photo's preview, its full detail when zoomed in, and messages about it.

import { enhance } from "./api.js";
import { FINISHED, grading, SEEN_SIDE } from "./grading.js";
import { percent } from "./histogram.js";
import { DONE, FAILED } from "./photo.js";
import { decode, small } from "./pixels.js";
import { finished, formatOf, LOSSLESS } from "./settings.js";
import { duration, showTiming } from "./timing.js";

const FULL_DETAIL_DELAY = 500; // milliseconds after the last change of zoom or settings
const LONGEST_WEBP = 16383; // pixels

export class Stage {
  /** Called with an error, and a function that tries again, if there is one. */
  onproblem = (error, again) => {};

  #photo = null;
  #scale = 0;
  #isZoomed = false;
  #revealed = new WeakSet();
  #before = null; // the copy on display
  #answer = null; // the answer on display, or whose finished file is
  #seen = null;
  #shown = 0;
  #isFull = false; // the viewer has the finished file instead of the answer
  #isReturning = false; // from full detail to the preview, which is being decoded
  #hasFailed = false; // to load full detail
  #timer = 0;
  #controller = null;

  /** `at(id)` returns an element, `output()` the format and quality of files; `side` is the long side of previews. */
  constructor({ at, viewer, histogram, finals, side, output }) {
    Object.assign(this, { at, viewer, histogram, finals, side, output });
    viewer.onzoom = (scale, isZoomed) => {
      at("zoom").value = `${Math.round(100 * scale)}%`;
      [this.#scale, this.#isZoomed] = [scale, isZoomed];
      this.#wantDetail();
    };
    viewer.onlost = () => {
      this.#before = null;
      if (this.#photo) this.show(this.#photo);
    };
  }

  /** Show a photo with its last answer, or the original until there is one; without a copy of it, show nothing. */
  async show(photo) {
    const turn = ++this.#shown;
    this.#forgetDetail();
    if (!photo?.copy) return this.#empty(photo && photo.state !== FAILED ? "copy" : "photo");
    try {
      if (this.#photo !== photo || this.#before !== photo.copy) {
        const { bitmap } = await decode(photo.copy.blob, this.viewer.longestSide);
        if (turn !== this.#shown) return bitmap.close();
        this.#forgetDetail(); // of the previous photo
        this.#photo = photo;
        this.#before = photo.copy;
        this.#answer = null;
        this.#isFull = false;
        this.#lack(photo.answer ? null : "answer");
        this.histogram.takeBefore(bitmap);
        this.#seen = { x: small(bitmap, SEEN_SIDE), y: null };
        this.viewer.showBefore(bitmap, photo.copy.size);
      }
      if (!photo.answer || (photo.state !== DONE && this.#answer === photo.answer)) return;
      await this.#showAnswer(turn);
      if (turn === this.#shown && !this.#revealed.has(photo)) this.viewer.reveal();
      this.#revealed.add(photo);
    } catch (error) {
      if (turn === this.#shown) this.onproblem(error);
    }
  }

  /** Apply the settings of the photo. Only full detail has to be requested again. */
  grade() {
    if (!this.#answer) return;
    const wasLoading = this.#controller !== null;
    this.#forgetDetail();
    if (!this.#isFull) this.#followLight();
    else if (!this.#isReturning) this.#returnToPreview();
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
    const { answer } = photo;
    const { bitmap } = await decode(answer.blob, this.viewer.longestSide);
    if (turn !== this.#shown) return bitmap.close();
    const { report } = (this.#answer = answer);
    this.#isFull = false;
    this.#lack(null);
    this.histogram.takeAfter(bitmap);
    this.#seen.y = small(bitmap, SEEN_SIDE, this.#seen.x);
    this.viewer.showAfter(bitmap, grading(photo.settings, report, this.#seen));
    const light = this.#followLight();
    this.#describe(report);
    if (photo.state !== DONE) return;
    const change = `${percent(light.before)} before, ${percent(light.after)} after`;
    this.done(`Enhanced in ${duration(report.elapsed)}. Mean brightness: ${change}.`);
    this.#wantDetail();
  }

  #followLight() {
    const numbers = grading(this.#photo.settings, this.#answer.report, this.#seen);
    this.viewer.grade(numbers);
    const light = this.histogram.draw(numbers);
    this.at("light").textContent = `${percent(light.before)} → ${percent(light.after)}`;
    return light;
  }

  /** Show nothing, so that the previous photo does not seem to be the chosen one. `lacking` as for `#lack`. */
  #empty(lacking) {
    this.#lack(lacking);
    this.#photo = this.#answer = null;
    this.viewer.clear();
  }

  /** Hide what cannot be shown: all if "photo" or "copy" is lacking, the result if "answer" is, nothing if null. */
  #lack(what) {
    const { dataset } = document.querySelector(".bench");
    if (what === null) delete dataset.lacks;
    else dataset.lacks = what;
  }

  /** Request full detail after a short delay, if the user has zoomed in so far that the preview lacks detail. */
  #wantDetail() {
    clearTimeout(this.#timer);
    const photo = this.#photo;
    if (!this.#isZoomed || photo?.state !== DONE || this.#isFull || this.#controller || this.#hasFailed) return;
    const { size } = photo.copy;
    const limit = Math.min(1, this.side / Math.max(size.width, size.height));
    if (limit < 1 && this.#scale > 1.05 * limit) {
      this.#timer = setTimeout(() => this.#loadDetail(photo), FULL_DETAIL_DELAY);
    }
  }

  /** Load the finished file, the same as for the download if browsers show it, and the original at full size. */
  async #loadDetail(photo) {
    const controller = (this.#controller = new AbortController());
    const { signal } = controller;
    const onprogress = (progress) => signal.aborted || this.progress(progress);
    const bitmaps = [];
    this.busy("Loading full detail…");
    try {
      const output = this.output();
      // Lossless files are large, and browsers cannot show TIFF.
      const isFile = !LOSSLESS.includes(formatOf(photo.file, output));
      const options = finished(photo.settings, isFile ? output : forViewing(photo.copy.size));
      const { blob, report } = await this.finals.get(photo, options, { signal, onprogress });
      bitmaps.push(await this.#original(photo, { signal, onprogress }));
      bitmaps.push((await decode(blob, this.viewer.longestSide)).bitmap);
      signal.throwIfAborted();
      const [before, after] = bitmaps.splice(0);
      this.#controller = null;
      this.#isFull = true;
      this.viewer.showBefore(before, report.size, true);
      this.viewer.showAfter(after, FINISHED);
      this.done(isFile ? "Full detail, as it will be downloaded." : "Full detail.");
    } catch (error) {
      for (const bitmap of bitmaps) bitmap.close();
      if (signal.aborted) return;
      this.#controller = null;
      this.#hasFailed = true;
      this.onproblem(error, () => {
        this.#hasFailed = false;
        this.#wantDetail();
      });
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
    const { blob } = await enhance(photo.file, { strength: 0, ...forViewing(photo.copy.size) }, handlers);
    return (await decode(blob, side)).bitmap;
  }

  #forgetDetail() {
    clearTimeout(this.#timer);
    this.#controller?.abort();
    this.#controller = null;
    this.#hasFailed = false;
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

/** A small format for viewing photos of a size. */
function forViewing({ width, height }) {
  return { format: Math.max(width, height) > LONGEST_WEBP ? "jpeg" : "webp", quality: 95 };
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(1);
}
