// The queue of photos that need a preview. A few are processed at a time, the chosen one first.

import { pause } from "./api.js";
import { DONE, FAILED, WAITING, WORKING } from "./photo.js";

const AT_ONCE = 2; // concurrent requests, few so that others are served, too
const SETTLE_MILLISECONDS = 200; // keys change a slider many times in a row; only the last change needs an answer

export class Queue {
  /** Called with a photo whose state has changed, or which has got its copy. */
  onchange = () => {};
  /** Called with a photo and its progress, as reported by `enhance`. */
  onprogress = () => {};

  #photos = [];
  #working = new Map();

  /** `previews` is a `Previews`. */
  constructor(previews) {
    this.previews = previews;
  }

  /** Request a photo's preview with its current settings; `first`: before all others. An earlier request is aborted. */
  add(photo, first = false) {
    this.#drop(photo);
    photo.state = WAITING;
    photo.error = null;
    if (first) this.#photos.unshift(photo);
    else this.#photos.push(photo);
    this.onchange(photo);
    this.#work(first ? photo : null);
  }

  /** Move a waiting photo to the front. */
  hurry(photo) {
    const index = this.#photos.indexOf(photo);
    if (index < 0) return;
    this.#photos.splice(index, 1);
    this.#photos.unshift(photo);
    this.#work(photo);
  }

  remove(photo) {
    this.#drop(photo);
    this.#work();
  }

  clear() {
    for (const controller of this.#working.values()) controller.abort();
    this.#working.clear();
    this.#photos = [];
  }

  #drop(photo) {
    this.#working.get(photo)?.abort();
    this.#working.delete(photo);
    const index = this.#photos.indexOf(photo);
    if (index >= 0) this.#photos.splice(index, 1);
  }

  /** Start requests. The photo `urgent`, which is on display, may exceed the limit by one, so that it need not wait. */
  #work(urgent = null) {
    while (this.#photos.length > 0) {
      const extra = this.#photos[0] === urgent ? 1 : 0;
      if (this.#working.size >= AT_ONCE + extra) return;
      this.#make(this.#photos.shift());
    }
  }

  async #make(photo) {
    const controller = new AbortController();
    const { signal } = controller;
    this.#working.set(photo, controller);
    photo.state = WORKING;
    this.onchange(photo);
    const onprogress = (progress) => signal.aborted || this.onprogress(photo, progress);
    try {
      const answer = await this.#answer(photo, { signal, onprogress });
      signal.throwIfAborted();
      Object.assign(photo, { answer, state: DONE });
    } catch (error) {
      if (signal.aborted) return; // by `#drop` or `clear`, which have removed it from #working
      Object.assign(photo, { error, state: FAILED });
    }
    this.#working.delete(photo);
    this.onchange(photo);
    this.#work();
  }

  async #answer(photo, handlers) {
    const wanted = this.previews.wanted(photo);
    if (!photo.copy) {
      await this.previews.copy(photo, handlers);
      handlers.signal.throwIfAborted();
      this.onchange(photo);
    } else if (photo.answer && !this.previews.has(photo, wanted)) await pause(SETTLE_MILLISECONDS, handlers.signal);
    let answer = await this.previews.get(photo, wanted, handlers);
    const { size, isWhole } = photo.copy;
    if (isWhole && !photo.byService && answer.report.size.width !== size.width) {
      // The browser has oriented the photo differently from the service, whose result is the one that is downloaded.
      this.previews.forget(photo);
      Object.assign(photo, { copy: null, byService: true });
      answer = await this.previews.get(photo, wanted, handlers);
    }
    // The first answer reports the photo's gate, on which the exposure for the model depends.
    return this.previews.get(photo, this.previews.wanted({ ...photo, answer }), handlers);
  }
}
