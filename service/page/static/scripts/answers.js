// The network's answers, kept for a while: going back to a photo or a model asks the service for nothing.

import { enhance } from "./api.js";

const KEPT = 12;

/** What the network made of a photo, and nothing else; the page does the rest. Lossless, so that it is exact. */
const NETWORK_ONLY = { strength: 1, protect: 0, gate: false, format: "png" };

export class Answers {
  #kept = new Map();

  /** {blob, report}; `inference` are the options that the network's answer depends on: model, version, detail, gamma. */
  async get(photo, inference, signal) {
    const key = JSON.stringify([photo.id, inference]);
    const answer = this.#kept.get(key) ?? (await enhance(photo.file, { ...inference, ...NETWORK_ONLY }, signal));
    this.#kept.delete(key); // the newest is the last
    this.#kept.set(key, answer);
    if (this.#kept.size > KEPT) this.#kept.delete(this.#kept.keys().next().value);
    return answer;
  }
}
