// The buttons for finished files: download one or all, copy, share.

import { Problem } from "./api.js";
import { asFile, canCopy, canShare, copy, save, saveAll, share } from "./download.js";
import { mayPass } from "./explain.js";
import { DONE } from "./photo.js";
import { finished, formatOf } from "./settings.js";

/** What the service may leave out of a file, by its name in the answer. */
const DROPPED = { "gain-map": "HDR gain map", frames: "further frames" };

export class FileButtons {
  #controller = null; // of the work in progress
  #canCancel = false;

  /** `at(id)` returns an element, `tell(error, options)` shows an error; the others are the parts of the page. */
  constructor({ at, library, stage, finals, controls, problems, tell }) {
    Object.assign(this, { at, library, stage, finals, controls, problems, tell });
    at("download").addEventListener("click", () => this.#make((signal) => this.#download(signal)));
    at("download-all").addEventListener("click", (event) => {
      if (event.detail > 1) return; // the second click of a double click would cancel
      if (this.#controller) this.stop();
      else this.#make((signal) => this.#downloadAll(signal), true);
    });
    at("copy").addEventListener("click", () => this.#make((signal) => this.#copy(signal)));
    at("share").addEventListener("click", () => this.#make((signal) => this.#share(signal)));
    at("copy").hidden = !canCopy();
    at("share").hidden = !canShare();
  }

  /** Enable and show the buttons that can be used now. */
  allow() {
    const { chosen, photos } = this.library;
    const isBusy = this.#controller !== null;
    const isReady = !isBusy && chosen?.state === DONE;
    for (const id of ["download", "copy", "share"]) this.at(id).disabled = !isReady;
    const all = this.at("download-all");
    all.textContent = this.#canCancel ? "Cancel" : "Download all";
    all.disabled = isBusy && !this.#canCancel;
    all.hidden = photos.length < 2 && !this.#canCancel;
    this.at("apply").hidden = photos.length < 2;
  }

  /** Stop the work in progress. */
  stop() {
    this.#controller?.abort();
  }

  /** Run `work`, which resolves to the message to show afterwards, while the buttons can only cancel it, if at all. */
  async #make(work, canCancel = false) {
    const focused = document.activeElement;
    const { signal } = (this.#controller = new AbortController());
    this.#canCancel = canCancel;
    this.allow();
    this.problems.settle(null);
    this.stage.busy("Preparing the file…");
    window.addEventListener("beforeunload", ask);
    try {
      this.stage.done(await work(signal));
    } catch (error) {
      this.stage.done("");
      if (error.name !== "AbortError") this.tell(error, { again: () => this.#make(work, canCancel) });
    } finally {
      window.removeEventListener("beforeunload", ask);
      this.#controller = null;
      this.#canCancel = false;
      this.allow();
      // A button loses the focus while it is disabled.
      if (document.activeElement === document.body) focused?.focus();
    }
  }

  /** The finished file of a photo. */
  async #finish(photo, signal, output = this.controls.output) {
    signal.throwIfAborted();
    // The page found that the photo cannot be enhanced.
    if (photo.error?.isOurs && !mayPass(photo.error)) throw photo.error;
    const onprogress = (progress) => photo === this.library.chosen && this.stage.progress(progress);
    return this.finals.get(photo, finished(photo.settings, output), { signal, onprogress });
  }

  async #download(signal) {
    const photo = this.library.chosen;
    const answer = await this.#finish(photo, signal);
    save(asFile(photo, answer));
    const lost = answer.report.dropped.map((part) => DROPPED[part] ?? part);
    return lost.length > 0 ? `Downloaded, without the ${lost.join(" and the ")}.` : "Downloaded.";
  }

  async #downloadAll(signal) {
    const photos = [...this.library.photos]; // some may be removed meanwhile
    const total = photos.length;
    const tellCount = (count) => this.stage.busy(`Preparing file ${count + 1} of ${total}…`, count / total);
    const failures = await saveAll(photos, (photo) => this.#finish(photo, signal), tellCount);
    if (failures.length > 0) {
      const each = failures.map(({ photo, error }) => `${photo.name}: ${error.message}`).join(" · ");
      this.problems.show(new Problem(422, { title: `${failures.length} of ${total} failed`, detail: each }, true));
    }
    return `${total - failures.length} of ${total} downloaded.`;
  }

  async #copy(signal) {
    const photo = this.library.chosen;
    const { output } = this.controls;
    // Browsers cannot turn TIFF into the PNG that goes to the clipboard.
    const isTiff = formatOf(photo.file, output) === "tiff";
    await copy(this.#finish(photo, signal, isTiff ? { ...output, format: "png" } : output));
    return "Copied.";
  }

  async #share(signal) {
    const photo = this.library.chosen;
    const file = asFile(photo, await this.#finish(photo, signal));
    try {
      return (await share(file)) ? "Shared." : "";
    } catch (error) {
      // The browser requires a recent tap. The finished file is kept, so a second tap succeeds.
      if (error.name === "NotAllowedError") return "The file is ready. Tap Share again.";
      throw error;
    }
  }
}

/** Ask whether the page may be left. */
function ask(event) {
  event.preventDefault();
}
