// The buttons for finished files: download one or all, copy, share.

import { Problem } from "./api.js";
import { asFile, canCopy, canShare, copy, save, saveAll, share } from "./download.js";
import { DONE } from "./photo.js";
import { finished } from "./settings.js";

export class FileButtons {
  #isBusy = false;

  /** `at(id)` returns an element, `tell(error, options)` shows an error; the others are the parts of the page. */
  constructor({ at, library, stage, finals, controls, problems, tell }) {
    Object.assign(this, { at, library, stage, finals, controls, problems, tell });
    at("download").addEventListener("click", () => this.#make(() => this.#download()));
    at("download-all").addEventListener("click", () => this.#make(() => this.#downloadAll()));
    at("copy").addEventListener("click", () => this.#make(() => this.#copy()));
    at("share").addEventListener("click", () => this.#make(() => this.#share()));
    at("copy").hidden = !canCopy();
    at("share").hidden = !canShare();
  }

  /** Enable and show the buttons that can be used now. */
  allow() {
    const { chosen, photos } = this.library;
    const isReady = !this.#isBusy && chosen?.state === DONE;
    for (const id of ["download", "copy", "share"]) this.at(id).disabled = !isReady;
    this.at("download-all").disabled = this.#isBusy;
    this.at("download-all").hidden = this.at("apply").hidden = photos.length < 2;
  }

  /** Run `work` with all buttons disabled; it resolves to the message to show afterwards. */
  async #make(work) {
    this.#isBusy = true;
    this.allow();
    this.problems.settle(null);
    this.stage.busy("Preparing the file…");
    try {
      this.stage.done(await work());
    } catch (error) {
      this.stage.done("");
      if (error.name !== "AbortError") this.tell(error, { again: () => this.#make(work) });
    } finally {
      this.#isBusy = false;
      this.allow();
    }
  }

  /** The finished file of a photo. */
  #finish(photo) {
    const onprogress = (progress) => photo === this.library.chosen && this.stage.progress(progress);
    return this.finals.get(photo, finished(photo.settings, this.controls.output), { onprogress });
  }

  async #download() {
    const photo = this.library.chosen;
    save(asFile(photo, await this.#finish(photo)));
    return "Downloaded.";
  }

  async #downloadAll() {
    const photos = [...this.library.photos]; // some may be removed meanwhile
    const total = photos.length;
    const tellCount = (count) => this.stage.busy(`Preparing file ${count + 1} of ${total}…`, count / total);
    const failures = await saveAll(photos, (photo) => this.#finish(photo), tellCount);
    if (failures.length > 0) {
      const each = failures.map(({ photo, error }) => `${photo.name}: ${error.message}`).join(" · ");
      this.problems.show(new Problem(422, { title: `${failures.length} of ${total} failed`, detail: each }, true));
    }
    return `${total - failures.length} of ${total} downloaded.`;
  }

  async #copy() {
    await copy(this.#finish(this.library.chosen));
    return "Copied.";
  }

  async #share() {
    const photo = this.library.chosen;
    const file = asFile(photo, await this.#finish(photo));
    try {
      return (await share(file)) ? "Shared." : "";
    } catch (error) {
      // The browser requires a recent tap. The finished file is kept, so a second tap succeeds.
      if (error.name === "NotAllowedError") return "The file is ready. Tap Share again.";
      throw error;
    }
  }
}
