// Thumbnails of photos: the original until there is an answer, then the answer, graded like the large picture.

import { gradePixels, grading } from "./grading.js";
import { DONE, FAILED, WAITING } from "./photo.js";

const SIDE = 160; // pixels

export class Thumbnails {
  #pixels = new Map();
  #canvases = new Map();
  #urgent = []; // functions that decode photos
  #later = [];
  #isBusy = false;

  /** A canvas for a photo; the original is drawn as soon as the browser has decoded it. */
  add(photo) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = SIDE;
    this.#canvases.set(photo, canvas);
    // Photos that are being enhanced will soon have a copy, which is faster to decode.
    const file = photo.copy?.blob ?? photo.file;
    this.#inTurn(this.#later, photo, async () => photo.state === WAITING && this.#load(photo, "before", file));
    return canvas;
  }

  /** Update the thumbnail of a photo whose state has changed, or which has got its copy. */
  update(photo) {
    const { copy, answer, state } = photo;
    if (copy) {
      this.#inTurn(this.#urgent, photo, async () => {
        await this.#load(photo, "before", copy.blob);
        if (state === DONE) await this.#load(photo, "after", answer.blob);
      });
    } else if (state === FAILED && !this.#pixels.has(photo)) {
      this.#inTurn(this.#later, photo, () => this.#load(photo, "before", photo.file));
    } else this.#paint(photo);
  }

  /** Update the thumbnail of a photo whose settings have changed. */
  grade(photo) {
    this.#paint(photo);
  }

  remove(photo) {
    this.#canvases.delete(photo);
    this.#pixels.delete(photo);
  }

  /** Photos are decoded one after the other: a hundred at once would take too much memory. */
  async #inTurn(list, photo, work) {
    list.push(async () => {
      if (!this.#canvases.has(photo)) return;
      await work().catch(() => {}); // if the browser cannot decode the photo, the frame stays empty
      this.#paint(photo);
    });
    if (this.#isBusy) return;
    this.#isBusy = true;
    await null; // until the queue has taken the first of the photos that are being added
    while (this.#urgent.length + this.#later.length > 0) await (this.#urgent.shift() ?? this.#later.shift())();
    this.#isBusy = false;
  }

  async #load(photo, which, blob) {
    const known = this.#pixels.get(photo) ?? {};
    if (known[which]?.blob === blob) return;
    const bitmap = await createImageBitmap(blob);
    const scale = SIDE / Math.min(bitmap.width, bitmap.height);
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    const context = new OffscreenCanvas(SIDE, SIDE).getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
    bitmap.close();
    this.#pixels.set(photo, { ...known, [which]: { blob, data: context.getImageData(0, 0, SIDE, SIDE) } });
  }

  #paint(photo) {
    const canvas = this.#canvases.get(photo);
    const { before, after } = this.#pixels.get(photo) ?? {};
    if (!canvas || !before) return;
    const shown = new ImageData(SIDE, SIDE);
    if (after && photo.answer) {
      const [x, y] = [before.data, after.data];
      gradePixels(x, y, grading(photo.settings, photo.answer.report, { x, y }), shown);
    } else shown.data.set(before.data.data);
    canvas.getContext("2d").putImageData(shown, 0, 0);
  }
}
