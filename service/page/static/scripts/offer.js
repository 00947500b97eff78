// The list of models, asked for again and again while some of them are still being loaded.

import { listModels } from "./api.js";
import { recall, remember } from "./memory.js";

const POLL_MILLISECONDS = 1000;
const UNCHANGED_POLLS = 3; // after which a model that is not being loaded is not waited for

export class Offer {
  /** Called with a list that changed. */
  onlist = () => {};
  /** Called with an error where there is no list at all, and when it has passed. */
  onproblem = (error) => {};
  onsettled = () => {};

  #text = "";
  #polls = 0;
  #timer = 0;

  async ask() {
    try {
      const list = await listModels();
      this.onsettled();
      const text = JSON.stringify(list);
      this.#polls = text === this.#text ? this.#polls + 1 : 0;
      this.#text = text;
      if (this.#polls === 0) {
        remember("models", list);
        this.onlist(list);
      }
      if (this.#isFinal(list)) return;
    } catch (error) {
      if (error.status === 401 || error.status === 403) return this.onproblem(error);
      // The rest of the list is no matter to bother a person with.
      if (!this.#text) this.onproblem(error);
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.ask(), POLL_MILLISECONDS);
  }

  /** The list of the last visit, for a page that is opened without a connection; null if there is none. */
  get last() {
    return recall("models");
  }

  /** Whether no more models are to be expected: those without a reason may be next, or may not be wanted at all. */
  #isFinal({ models }) {
    if (!models.some(({ ready }) => ready)) return false;
    if (models.every(({ ready, reason }) => ready || reason)) return true;
    return this.#polls >= UNCHANGED_POLLS && !models.some(({ state }) => state === "LOADING");
  }
}
