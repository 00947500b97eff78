// The list of models. It is requested repeatedly while the service is still loading some of them, or is not answering.

import { listModels } from "./api.js";
import { recall, remember } from "./memory.js";

const POLL_MILLISECONDS = 1000;
const UNCHANGED_POLLS = 3; // identical lists, after which polling stops unless a model is loading
const AWAY = [0, 502, 503, 504]; // statuses while a service restarts, the last three from a proxy

/** Whether an error says that the service is not answering. */
export function isAway({ status }) {
  return AWAY.includes(status);
}

export class Offer {
  /** Called with a new list if it differs from the last one. */
  onlist = () => {};
  /**
   * `onproblem` is called with an error if there is no list yet or access is refused, `onsettled` after a success, with
   * whether the service had not been answering before.
   */
  onproblem = (error) => {};
  onsettled = (isBack) => {};

  #text = "";
  #polls = 0;
  #timer = 0;
  #wasAway = false;

  /** Ask now, unless that is planned, because a request has failed in a way that the list may explain. */
  check() {
    if (this.#timer === 0) this.ask();
  }

  async ask() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    try {
      const list = await listModels();
      const isBack = this.#wasAway;
      this.#wasAway = false;
      this.onsettled(isBack);
      const text = JSON.stringify(list);
      this.#polls = text === this.#text ? this.#polls + 1 : 0;
      this.#text = text;
      if (this.#polls === 0) {
        remember("models", list);
        this.onlist(list);
      }
      if (this.#isFinal(list)) return;
    } catch (error) {
      this.#wasAway ||= isAway(error);
      if (error.status === 401 || error.status === 403) return this.onproblem(error);
      // With a list, the page can be used; it will be updated when the server answers again.
      if (!this.#text) this.onproblem(error);
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.ask(), POLL_MILLISECONDS);
  }

  /** The list of the last visit, for use without a connection; null if there is none. */
  get last() {
    return recall("models");
  }

  /** Whether the list is complete. A model without a reason may still be loaded, or may not be meant to be. */
  #isFinal({ models }) {
    if (!models.some(({ ready }) => ready)) return false;
    if (models.every(({ ready, reason }) => ready || reason)) return true;
    return this.#polls >= UNCHANGED_POLLS && !models.some(({ state }) => state === "LOADING");
  }
}
