// One photo through every model, side by side; the cards follow strength and protection as the large picture does.

import { grading, gradePixels } from "./grading.js";
import { decode, decodePhoto, sample } from "./pixels.js";
import { duration } from "./timing.js";

const CARD_SIDE = 640; // pixels
const AT_ONCE = 2; // requests, so that the service stays free for others

export class Comparison {
  /** Called with a model's value in the select when its card was chosen. */
  onchoose = () => {};

  #cards = [];
  #controller = null;

  /** `grid` is the element that it fills; `answer(photo, model, signal)` asks for {blob, report}. */
  constructor(grid, answer) {
    this.grid = grid;
    this.answer = answer;
  }

  /** Show `photo` through `models`, [{value, label}]; the cards' light follows `settings`. */
  async run(photo, models, settings) {
    this.stop();
    this.settings = settings;
    const { signal } = (this.#controller = new AbortController());
    this.#cards = models.map((model) => this.#card(model));
    this.grid.replaceChildren(...this.#cards.map(({ element }) => element));
    const before = decodePhoto(photo.file, CARD_SIDE, signal).then(({ bitmap }) => sample(bitmap, CARD_SIDE));
    // Where it fails, each card says so; where it comes late, the cards are another photo's.
    before.then((pixels) => signal.aborted || this.#await(pixels), () => {});
    const waiting = [...this.#cards];
    const work = async () => {
      for (let card = waiting.shift(); card && !signal.aborted; card = waiting.shift()) {
        await this.#fill(card, photo, before, signal);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  /** How many models are compared. */
  get size() {
    return this.#cards.length;
  }

  /** Forget the cards, and requests that are under way. */
  stop() {
    this.#controller?.abort();
    this.#cards = [];
    this.grid.replaceChildren();
  }

  /** Follow the controls. */
  grade(settings) {
    this.settings = settings;
    for (const card of this.#cards) this.#paint(card);
  }

  /** Say which model the large picture shows. */
  mark(value) {
    for (const { model, button } of this.#cards) button.setAttribute("aria-pressed", model.value === value);
  }

  #card(model) {
    const element = document.createElement("li");
    const button = document.createElement("button");
    const canvas = document.createElement("canvas");
    const name = document.createElement("strong");
    const note = document.createElement("span");
    button.type = "button";
    name.textContent = model.label;
    note.textContent = "…";
    button.append(canvas, name, note);
    button.addEventListener("click", () => this.onchoose(model.value));
    element.append(button);
    return { model, element, button, canvas, note };
  }

  /** Show the photo as it came on the cards that still wait, so that they have their size from the start. */
  #await(before) {
    for (const { canvas, pixels } of this.#cards) {
      if (!pixels) put(canvas, before);
    }
  }

  async #fill(card, photo, before, signal) {
    try {
      const { blob, report } = await this.answer(photo, card.model.value, signal);
      const after = sample((await decode(blob, CARD_SIDE)).bitmap, CARD_SIDE);
      card.pixels = [await before, after];
      card.gate = report.gate;
      const network = report.stages.find(({ name }) => name === "infer");
      card.note.textContent = network ? `network ${duration(network.milliseconds)}` : "";
      card.button.dataset.done = "";
      this.#paint(card);
    } catch (error) {
      if (error.name !== "AbortError") card.note.textContent = error.message;
    }
  }

  #paint({ canvas, pixels, gate }) {
    if (!pixels) return;
    const [x, y] = pixels;
    const result = new ImageData(x.width, x.height);
    gradePixels(x.data, y.data, grading(this.settings, gate), result.data);
    put(canvas, result);
  }
}

function put(canvas, pixels) {
  const { width, height } = pixels;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}
