// One photo enhanced by every model, next to the original. The cards follow the sliders as the large picture does.

import { gradePixels, grading, SEEN_SIDE } from "./grading.js";
import { decode, sample, small } from "./pixels.js";
import { duration } from "./timing.js";

export const CARD_SIDE = 640; // pixels
const AT_ONCE = 2; // concurrent requests, few so that others are served, too

export class Comparison {
  /** Called with a model's value in the <select> when its card is clicked. */
  onchoose = () => {};

  #cards = [];
  #controller = null;

  /**
   * `grid` is the element to fill; `before(photo, signal)` resolves to the original as a file, and
   * `answer(photo, model, signal)` to {blob, report} of a model.
   */
  constructor(grid, { before, answer }) {
    Object.assign(this, { grid, before, answer });
  }

  /** Number of models compared. */
  get size() {
    return this.#cards.length;
  }

  /** Show `photo` as each of `models` enhances it, [{value, label, sentence}]. */
  async run(photo, models) {
    this.stop();
    this.settings = photo.settings;
    const { signal } = (this.#controller = new AbortController());
    const original = makeCard({ label: "Original", sentence: "" }, "div");
    this.#cards = models.map((model) => this.#card(model));
    this.grid.replaceChildren(original.element, ...this.#cards.map(({ element }) => element));
    const before = this.#original(photo, signal);
    // If this fails, each card shows the error. If it comes too late, the cards belong to another photo by now.
    before.then(({ pixels }) => {
      if (signal.aborted) return;
      put(original.canvas, pixels);
      for (const { canvas, pixels: own } of this.#cards) if (!own) put(canvas, pixels);
    }, () => {});
    const waiting = [...this.#cards];
    const work = async () => {
      for (let card = waiting.shift(); card && !signal.aborted; card = waiting.shift()) {
        await this.#fill(card, photo, before, signal);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  /** Remove the cards, and abort the requests for them. */
  stop() {
    this.#controller?.abort();
    this.#cards = [];
    this.grid.replaceChildren();
  }

  /** Grade the cards by new settings of the photo. */
  grade(settings) {
    this.settings = settings;
    for (const card of this.#cards) this.#paint(card);
  }

  /** Mark the model that the large picture shows. */
  mark(value) {
    for (const { model, box } of this.#cards) box.setAttribute("aria-pressed", model.value === value);
  }

  #card(model) {
    const card = makeCard(model, "button");
    card.box.type = "button";
    card.note.textContent = "…";
    card.box.addEventListener("click", () => this.onchoose(model.value));
    return { model, ...card };
  }

  async #original(photo, signal) {
    const { bitmap } = await decode(await this.before(photo, signal), CARD_SIDE);
    const original = { pixels: sample(bitmap, CARD_SIDE), seen: small(bitmap, SEEN_SIDE) };
    bitmap.close();
    return original;
  }

  async #fill(card, photo, before, signal) {
    try {
      const { blob, report } = await this.answer(photo, card.model.value, signal);
      const x = await before;
      const { bitmap } = await decode(blob, CARD_SIDE);
      const y = { pixels: sample(bitmap, CARD_SIDE, x.pixels), seen: small(bitmap, SEEN_SIDE, x.seen) };
      bitmap.close();
      Object.assign(card, { pixels: [x.pixels, y.pixels], seen: { x: x.seen, y: y.seen }, report });
      const network = report.stages.find(({ name }) => name === "infer");
      card.note.textContent = network ? `network ${duration(network.milliseconds)}` : "";
      card.box.dataset.done = "";
      this.#paint(card);
    } catch (error) {
      if (!signal.aborted) card.note.textContent = error.message;
    }
  }

  #paint({ canvas, pixels, report, seen }) {
    if (!pixels) return;
    const [x, y] = pixels;
    const result = new ImageData(x.width, x.height);
    gradePixels(x, y, grading(this.settings, report, seen), result);
    put(canvas, result);
  }
}

function makeCard({ label, sentence }, tag) {
  const element = document.createElement("li");
  const box = document.createElement(tag);
  const canvas = document.createElement("canvas");
  const [name, text, note] = ["strong", "span", "small"].map((kind) => document.createElement(kind));
  name.textContent = label;
  text.textContent = sentence;
  box.className = "card";
  box.append(canvas, name, text, note);
  element.append(box);
  return { element, box, canvas, note };
}

function put(canvas, pixels) {
  const { width, height } = pixels;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}
