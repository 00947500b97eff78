// The network's answers at screen size. They are cached, so that returning to a photo or a model needs no request.

import { enhance } from "./api.js";
import { makeCopy } from "./copies.js";
import { checkFile } from "./inspect.js";
import { inference } from "./settings.js";
import { Sharing } from "./sharing.js";

const KEPT = 200; // answers, each of some hundred kilobytes
const LOSSLESS_PIXELS = 5e5; // most pixels of an answer for it to be requested as PNG

/** Options for the network's plain answer; the page does the grading. */
const NETWORK_ONLY = { strength: 1, protect: 0, gate: false };

export class Previews {
  /** The limits of the service. */
  limits = {
    max_body_bytes: Infinity,
    max_raw_body_bytes: Infinity,
    max_pixels: Infinity,
    min_side: 1,
    max_aspect_ratio: Infinity,
  };
  /** The most pixels that a model, by its name, processes at full resolution. */
  wholePixels = () => 0;
  /** Whether a model, by its name, has the exposure as an input, so that its answer depends on it. */
  takesExposure = () => false;

  #answers = new Map();
  #small = new Map();
  #sharing = new Sharing();

  /** `side`: long side of previews in pixels. */
  constructor(side) {
    this.side = side;
  }

  /** Throw a Problem if a photo's file cannot be sent. */
  check(photo) {
    return checkFile(photo.file, this.limits);
  }

  /** A photo's copy, as returned by `makeCopy`; `smaller` is its long side in pixels. */
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
   * The options on which a photo's answer depends, for `get`. A model that takes the exposure gets it multiplied by the
   * gate, as in the service. The gate is known only after the photo's first answer.
   */
  wanted(photo, settings = photo.settings, model = settings.model) {
    const asked = inference(settings, model);
    if (!this.takesExposure(asked.model)) return asked;
    const share = settings.gate ? (photo.answer?.report.gate ?? 1) : 1;
    return { ...asked, exposure: Math.round(1e4 * settings.exposure * share) / 1e4 };
  }

  /**
   * {blob, report} of a photo. `told` in the report is the exposure that the model was given. `wanted` are options as
   * returned by the method of that name.
   */
  async get(photo, wanted, { signal, onprogress, smaller = this.side } = {}) {
    const copy = await this.copy(photo, { signal, onprogress, smaller });
    const key = answerKey(photo, wanted, copy, smaller);
    const known = this.#answers.get(key);
    const ask = (shared) => this.#ask(photo, copy, wanted, { signal: shared, onprogress, smaller });
    const answer = known ?? (await this.#sharing.run(key, ask, signal));
    this.keep(key, answer);
    return answer;
  }

  /** Whether the answer that `get` would return is in the cache; the photo must have a copy. */
  has(photo, wanted) {
    return this.#answers.has(answerKey(photo, wanted, photo.copy, this.side));
  }

  /** Add an answer to the cache, such as one from an earlier visit. */
  keep(key, answer) {
    this.#answers.delete(key); // so that it moves to the end: the first one is evicted
    this.#answers.set(key, answer);
    if (this.#answers.size > KEPT) this.#answers.delete(this.#answers.keys().next().value);
  }

  /** The key of a photo's answer, for `keep`. */
  key(photo) {
    return answerKey(photo, this.wanted(photo), photo.copy, this.side);
  }

  /** Remove a photo's copies and answers from the cache. */
  forget(photo) {
    for (const map of [this.#answers, this.#small]) {
      for (const key of map.keys()) if (key.startsWith(photo.id)) map.delete(key);
    }
  }

  async #copy(photo, signal, onprogress) {
    const { side, limits } = this;
    await this.check(photo);
    photo.copy = await makeCopy(photo.file, side, { signal, onprogress, limits, byService: photo.byService });
    return photo.copy;
  }

  async #ask(photo, copy, wanted, { signal, onprogress, smaller }) {
    const { width, height } = copy.size;
    // For these settings, the network must process the photo at full resolution even for a preview.
    const needsAll = ["whole", "tiles"].includes(wanted.detail) && Math.max(width, height) > smaller;
    const file = needsAll ? photo.file : copy.sent;
    const isPhoto = needsAll || copy.isWhole;
    if (isPhoto) await this.check(photo);
    let { detail } = wanted;
    if (!isPhoto && detail === "auto") {
      // The decision that the service will make for the photo at full size.
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
