// What the network makes of a photo, at screen size; kept, so that going back to a photo or a model asks for nothing.

import { enhance } from "./api.js";
import { makeCopy } from "./copies.js";
import { inference } from "./settings.js";
import { Sharing } from "./sharing.js";

const KEPT = 200; // answers of some hundred kilobytes
const LOSSLESS_PIXELS = 5e5; // up to which the answer comes as PNG

/** The network's answer and nothing else; the page does the rest. */
const NETWORK_ONLY = { strength: 1, protect: 0, gate: false };

export class Previews {
  /** The limits of the service, and the largest number of pixels that a model, by its name, sees whole. */
  limits = {
    max_body_bytes: Infinity,
    max_raw_body_bytes: Infinity,
    max_pixels: Infinity,
    min_side: 1,
    max_aspect_ratio: Infinity,
  };
  wholePixels = () => 0;
  /** Whether a model, by its name, is told the exposure: its answer depends on it. */
  takesExposure = () => false;

  #answers = new Map();
  #small = new Map();
  #sharing = new Sharing();

  /** `side`: longest side in pixels of previews. */
  constructor(side) {
    this.side = side;
  }

  /** A photo's copy, as `makeCopy` gives it; of `smaller` pixels a side where that is enough. */
  async copy(photo, { signal, onprogress, smaller = this.side } = {}) {
    const make = (shared) => this.#copy(photo, shared, onprogress);
    const copy = photo.copy ?? (await this.#sharing.run(`${photo.id} copy`, make, signal));
    if (Math.max(copy.size.width, copy.size.height) <= smaller || smaller === this.side) return copy;
    const key = `${photo.id} copy ${smaller}`;
    const small = this.#small.get(key) ?? { ...(await makeCopy(copy.blob, smaller, { signal, limits: this.limits })) };
    Object.assign(small, { size: copy.size, sent: small.blob, isWhole: false });
    this.#small.set(key, small);
    return small;
  }

  /**
   * The options that a photo's answer depends on, for `get`. As in the service, a model that takes the exposure gets it
   * times the gate, which is known once the photo has had an answer.
   */
  wanted(photo, settings = photo.settings, model = settings.model) {
    const asked = inference(settings, model);
    if (!this.takesExposure(asked.model)) return asked;
    const share = settings.gate ? (photo.answer?.report.gate ?? 1) : 1;
    return { ...asked, exposure: Math.round(1e4 * settings.exposure * share) / 1e4 };
  }

  /** {blob, report} of a photo; `told` in the report is the exposure that the model got. `wanted` is what that method returns. */
  async get(photo, wanted, { signal, onprogress, smaller = this.side } = {}) {
    const copy = await this.copy(photo, { signal, onprogress, smaller });
    const key = answerKey(photo, wanted, copy, smaller);
    const known = this.#answers.get(key);
    const ask = (shared) => this.#ask(photo, copy, wanted, { signal: shared, onprogress, smaller });
    const answer = known ?? (await this.#sharing.run(key, ask, signal));
    this.keep(key, answer);
    return answer;
  }

  /** Keep an answer, as one that an earlier visit had. */
  keep(key, answer) {
    this.#answers.delete(key); // the newest is the last
    this.#answers.set(key, answer);
    if (this.#answers.size > KEPT) this.#answers.delete(this.#answers.keys().next().value);
  }

  /** The key of a photo's answer, for `keep`. */
  key(photo) {
    return answerKey(photo, this.wanted(photo), photo.copy, this.side);
  }

  /** Forget a photo. */
  forget(photo) {
    for (const map of [this.#answers, this.#small]) {
      for (const key of map.keys()) if (key.startsWith(photo.id)) map.delete(key);
    }
  }

  async #copy(photo, signal, onprogress) {
    const { side, limits } = this;
    photo.copy = await makeCopy(photo.file, side, { signal, onprogress, limits, byService: photo.byService });
    return photo.copy;
  }

  async #ask(photo, copy, wanted, { signal, onprogress, smaller }) {
    const { width, height } = copy.size;
    // Who wants the network to see every pixel, or tiles, gets nothing else for a preview.
    const needsAll = ["whole", "tiles"].includes(wanted.detail) && Math.max(width, height) > smaller;
    const file = needsAll ? photo.file : copy.sent;
    const isPhoto = needsAll || copy.isWhole;
    let { detail } = wanted;
    if (!isPhoto && detail === "auto") {
      // The decision that the service will make for the photo itself.
      detail = width * height <= this.wholePixels(wanted.model) ? "whole" : "guided";
    }
    const scale = Math.min(1, smaller / Math.max(width, height));
    const format = width * height * scale * scale <= LOSSLESS_PIXELS ? "png" : "webp";
    const max_side = isPhoto && scale < 1 ? smaller : undefined;
    const options = { ...wanted, ...NETWORK_ONLY, format, detail, max_side };
    const { blob, report } = await enhance(file, options, { signal, onprogress });
    return { blob, report: { ...report, told: wanted.exposure ?? 0 } };
  }
}

function answerKey(photo, wanted, { size }, side) {
  return `${photo.id} ${Math.min(side, Math.max(size.width, size.height))} ${JSON.stringify(wanted)}`;
}
