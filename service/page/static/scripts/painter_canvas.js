// Paints the visible part of a photo without WebGL: scaled by the browser and graded in JavaScript, which takes about
// 20 ms per million canvas pixels. `painter_webgl.js` has the same interface.

import { gradePixels, UNCHANGED } from "./grading.js";

export class CanvasPainter {
  longestSide = 16384;

  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.scratch = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  }

  loadBefore(bitmap) {
    this.before?.close();
    this.before = bitmap;
  }

  loadAfter(bitmap) {
    this.after?.close();
    this.after = bitmap;
  }

  paint(view, grading, { divider, shift }) {
    const { width, height } = this.canvas;
    this.context.clearRect(0, 0, width, height);
    this.#part(view, null, 0, Math.min(width, Math.round(divider)));
    this.#part({ ...view, left: view.left + shift }, grading ?? UNCHANGED, Math.max(0, Math.round(divider)), width);
  }

  /** Paint the columns [first, last) of the canvas: the original if `grading` is null, else the graded answer. */
  #part(view, grading, first, last) {
    const left = Math.max(first, Math.floor(view.left));
    const top = Math.max(0, Math.floor(view.top));
    const columns = Math.min(last, Math.ceil(view.left + view.photo.width * view.scale)) - left;
    const rows = Math.min(this.canvas.height, Math.ceil(view.top + view.photo.height * view.scale)) - top;
    if (columns <= 0 || rows <= 0) return;
    const x = this.#visible(this.before, view, left, top, columns, rows);
    if (grading) {
      const y = this.#visible(this.after ?? this.before, view, left, top, columns, rows);
      const across = view.photo.width * view.scale;
      const down = view.photo.height * view.scale;
      const area = {
        left: (left - view.left) / across,
        top: (top - view.top) / down,
        width: columns / across,
        height: rows / down,
      };
      gradePixels(x, y, grading, x, area);
    }
    this.context.putImageData(x, left, top);
  }

  #visible(bitmap, { photo, scale, left, top }, x, y, width, height) {
    const { scratch } = this;
    scratch.canvas.width = width;
    scratch.canvas.height = height;
    const across = (scale * photo.width) / bitmap.width;
    const down = (scale * photo.height) / bitmap.height;
    scratch.imageSmoothingEnabled = across < 2 || across !== scale;
    scratch.imageSmoothingQuality = "high";
    scratch.setTransform(across, 0, 0, down, left - x, top - y);
    scratch.drawImage(bitmap, 0, 0);
    return scratch.getImageData(0, 0, width, height);
  }
}
