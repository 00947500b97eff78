// Photos waiting for their previews: a few at a time, the one that is looked at before the others.

import { checkFile } from "./inspect.js";
import { DONE, FAILED, WAITING, WORKING } from "./photo.js";

const AT_ONCE = 2; // requests, so that the service stays free for others

export class Queue {
  /** Called with a photo whose state changed. */
  onchange = () => {};
  /** Called with a photo and its progress, as `enhance` tells it. */
  onprogress = () => {};

  #photos = [];
  #working = new Map();

  /** `previews` are those of `Previews`. */
  constructor(previews) {
    this.previews = previews;
  }

  /** Make a photo's preview for its settings; `first`: before all others. What was under way for it is given up. */
  add(photo, first = false) {
    this.#drop(photo);
    photo.state = WAITING;
    photo.error = null;
    if (first) this.#photos.unshift(photo);
    else this.#photos.push(photo);
    this.onchange(photo);
    this.#work();
  }

  /** Take a waiting photo before all others. */
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

  /** One more than usual for the photo that is looked at: it does not wait for a batch. */
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
      if (signal.aborted) return; // by `remove`, which has taken it out
      Object.assign(photo, { error, state: FAILED });
    }
    this.#working.delete(photo);
    this.onchange(photo);
    this.#work();
  }

  async #answer(photo, handlers) {
    await checkFile(photo.file, this.previews.limits);
    const wanted = this.previews.wanted(photo);
    let answer = await this.previews.get(photo, wanted, handlers);
    const { size, isWhole } = photo.copy;
    if (isWhole && !photo.byService && answer.report.size.width !== size.width) {
      // The browser turned the photo otherwise than the service did, whose word counts.
      this.previews.forget(photo);
      Object.assign(photo, { copy: null, byService: true });
      answer = await this.previews.get(photo, wanted, handlers);
    }
    // The first answer tells the photo's gate, on which the exposure to ask for depends.
    return this.previews.get(photo, this.previews.wanted({ ...photo, answer }), handlers);
  }
}
