// Paints the visible part of a photo without WebGL: scaled by the browser, graded in JavaScript, some 20 ms for a
// million dots. `painter_webgl.js` has the same interface.

import { gradePixels } from "./grading.js";

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

  paint(view, grading, divider) {
    const { width, height } = this.canvas;
    this.context.clearRect(0, 0, width, height);
    const { before, after } = this;
    const left = Math.max(0, Math.floor(view.left));
    const top = Math.max(0, Math.floor(view.top));
    const columns = Math.min(width, Math.ceil(view.left + before.width * view.scale)) - left;
    const rows = Math.min(height, Math.ceil(view.top + before.height * view.scale)) - top;
    if (columns <= 0 || rows <= 0) return;
    const x = this.#visible(before, view, left, top, columns, rows);
    const y = this.#visible(after ?? before, view, left, top, columns, rows);
    gradePixels(x.data, y.data, grading, y.data);
    const split = Math.min(columns, Math.max(0, Math.round(divider) - left));
    this.context.putImageData(x, left, top, 0, 0, split, rows);
    this.context.putImageData(y, left, top, split, 0, columns - split, rows);
  }

  #visible(bitmap, { scale, left, top }, x, y, width, height) {
    const { scratch } = this;
    scratch.canvas.width = width;
    scratch.canvas.height = height;
    scratch.imageSmoothingEnabled = scale < 2;
    scratch.imageSmoothingQuality = "high";
    scratch.setTransform(scale, 0, 0, scale, left - x, top - y);
    scratch.drawImage(bitmap, 0, 0);
    return scratch.getImageData(0, 0, width, height);
  }
}
