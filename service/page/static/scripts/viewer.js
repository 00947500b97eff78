// Shows the photo before and after, with a divider or side by side; zoom and pan by mouse, touch and keyboard.

import { CanvasPainter } from "./painter_canvas.js";
import { WebGLPainter } from "./painter_webgl.js";
import { covered, exceeds, fitted, moved, zoomed } from "./view.js";

const GRIP = 24; // CSS pixels on either side of the divider within which it can be grabbed
const SLOP = 6; // CSS pixels that a pointer may move and still count as resting
const HOLD_MILLISECONDS = 300; // after which a resting pointer shows the original
const ZOOM_STEP = 1.5;
const PAN_STEP = 80;
const REVEAL_MILLISECONDS = 700;

export class Viewer {
  /** Called when the view has changed, with the scale (canvas pixels per photo pixel) and whether the user chose it. */
  onzoom = (scale, isZoomed) => {};
  /** Called when the WebGL context was lost and restored, so that the photo has to be shown again. */
  onlost = () => {};

  #photo = null;
  #view = null;
  #fits = true;
  #grading = null;
  #isSideBySide = false;
  #showsOriginal = false;
  #pointers = new Map();
  #press = null;
  #frame = 0;
  #veil = 0; // share of the answer that is not yet revealed

  /** `canvas` fills the element `stage`; `divider` is the line on top, `slider` its range input from 0 to 100. */
  constructor({ stage, canvas, divider, slider }) {
    Object.assign(this, { stage, canvas, divider, slider });
    this.painter = makePainter(canvas);
    new ResizeObserver(() => this.#resize()).observe(stage);
    slider.addEventListener("input", () => this.#repaint());
    stage.addEventListener("pointerdown", (event) => this.#grab(event));
    stage.addEventListener("pointermove", (event) => this.#drag(event));
    for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, (event) => this.#release(event));
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    stage.addEventListener("dblclick", (event) => this.#toggle(event));
    stage.addEventListener("contextmenu", (event) => this.#press?.isHeld && event.preventDefault());
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.painter.prepare();
      this.#photo = null;
      this.onlost();
    });
  }

  /** Long side in pixels of the largest bitmaps that can be shown. */
  get longestSide() {
    return this.painter.longestSide;
  }

  /**
   * Show the original of a photo of `size` {width, height}, as an ImageBitmap of that size or smaller, which the viewer
   * will close. `isSame`: it is the same photo at another resolution, so zoom and answer are kept.
   */
  showBefore(bitmap, size, isSame = false) {
    this.painter.loadBefore(bitmap);
    if (isSame && this.#photo) return this.#repaint();
    this.#photo = size;
    this.#grading = null;
    this.#fits = true;
    this.#resize();
  }

  /** Show the network's answer to that photo, also an ImageBitmap, with `grading` as for `gradePixels`. */
  showAfter(bitmap, grading) {
    this.painter.loadAfter(bitmap);
    this.grade(grading);
  }

  /** Change how the answer is graded. */
  grade(grading) {
    this.#grading = grading;
    this.#repaint();
  }

  /** Show nothing; the canvas is hidden by the stage. */
  clear() {
    this.#photo = null;
    this.#pointers.clear();
    this.#endPress();
  }

  /** Show before and after side by side instead of with a divider. */
  set sideBySide(wanted) {
    this.#isSideBySide = wanted;
    this.stage.classList.toggle("side-by-side", wanted);
    this.slider.disabled = wanted;
    this.canvas.ariaLabel = wanted
      ? "The photo, before on the left and enhanced on the right"
      : "The photo, enhanced to the right of the divider";
    this.#resize();
  }

  /** Show only the original. */
  set showsOriginal(wanted) {
    if (this.#showsOriginal === wanted) return;
    this.#showsOriginal = wanted;
    this.stage.classList.toggle("original", wanted);
    this.#repaint();
  }

  /** Move the divider from the right edge to its place, so that the photo lights up. */
  reveal() {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    this.#veil = 1;
    let started = null;
    const step = (now) => {
      started ??= now;
      const isOver = this.#pointers.size > 0 || now - started > REVEAL_MILLISECONDS;
      this.#veil = isOver ? 0 : (1 - (now - started) / REVEAL_MILLISECONDS) ** 3;
      this.#repaint();
      if (!isOver) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  fit() {
    this.#fits = true;
    this.#resize();
  }

  /** Show one photo pixel per screen pixel. */
  actualSize() {
    if (this.#photo) this.#zoom(1 / this.#view.scale, this.#middle());
  }

  zoomIn() {
    this.#zoom(ZOOM_STEP, this.#middle());
  }

  zoomOut() {
    this.#zoom(1 / ZOOM_STEP, this.#middle());
  }

  /** Move the photo by (x, y) steps. */
  step(x, y) {
    if (this.#photo) this.#pan(x * PAN_STEP * devicePixelRatio, y * PAN_STEP * devicePixelRatio);
  }

  /** The canvas pixels available to one photo: half of the canvas when two are side by side. */
  #room() {
    const { width, height } = this.canvas;
    return { width: this.#isSideBySide ? Math.floor(width / 2) : width, height };
  }

  #middle() {
    const { width, height } = this.#room();
    return { x: width / 2, y: height / 2 };
  }

  /** The position of a pointer in canvas pixels. */
  #point(event) {
    const box = this.canvas.getBoundingClientRect();
    const dots = this.canvas.width / box.width;
    return { x: (event.clientX - box.left) * dots, y: (event.clientY - box.top) * dots };
  }

  #dividerColumn() {
    if (this.#isSideBySide) return this.#room().width;
    if (this.#showsOriginal) return this.canvas.width;
    const [first, last] = covered(this.#view, this.#photo, this.#room());
    const place = this.slider.value / 100;
    return first + (last - first) * (place + (1 - place) * this.#veil);
  }

  #resize() {
    const width = Math.round(this.stage.clientWidth * devicePixelRatio);
    const height = Math.round(this.stage.clientHeight * devicePixelRatio);
    if (!this.#photo || !width || !height) return;
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    if (this.#fits || !this.#view) this.#view = fitted(this.#photo, this.#room());
    else this.#view = moved(this.#view, 0, 0, this.#photo, this.#room());
    this.#changed();
  }

  /** Zoom around a point of the canvas, in either half when two photos are side by side. */
  #zoom(factor, { x, y }) {
    if (!this.#photo) return;
    const room = this.#room();
    const point = { x: this.#isSideBySide ? x % room.width : x, y };
    this.#view = zoomed(this.#view, factor, point, this.#photo, room);
    this.#fits = Math.abs(this.#view.scale / fitted(this.#photo, room).scale - 1) < 1e-6;
    this.#changed();
  }

  #pan(x, y) {
    this.#view = moved(this.#view, x, y, this.#photo, this.#room());
    this.#changed();
  }

  #slideToColumn(column) {
    const [first, last] = covered(this.#view, this.#photo, this.#room());
    this.slider.value = Math.min(100, Math.max(0, (100 * (column - first)) / (last - first)));
    this.#repaint();
  }

  #changed() {
    this.stage.classList.toggle("zoomed", exceeds(this.#view, this.#photo, this.#room()));
    this.onzoom(this.#view.scale, !this.#fits);
    this.#repaint();
  }

  /** Paint in the next animation frame, once for all changes until then. */
  #repaint() {
    if (this.#photo) this.#frame ||= requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    this.#frame = 0;
    if (!this.#photo) return;
    const column = this.#dividerColumn();
    const shift = this.#isSideBySide ? this.#room().width : 0;
    this.painter.paint({ ...this.#view, photo: this.#photo }, this.#grading, { divider: column, shift });
    const [first, last] = covered(this.#view, this.#photo, this.#room());
    const place = { column, first, last: shift + last };
    for (const [name, dots] of Object.entries(place)) {
      this.stage.style.setProperty(`--${name}`, `${dots / devicePixelRatio}px`);
    }
    this.slider.setAttribute("aria-valuetext", `${Math.round(this.slider.value)}% before`);
  }

  #grab(event) {
    if (!this.#photo || event.button !== 0) return;
    this.stage.setPointerCapture(event.pointerId);
    const point = this.#point(event);
    this.#pointers.set(event.pointerId, point);
    this.#endPress();
    if (this.#pointers.size > 1) return;
    const isZoomed = this.stage.classList.contains("zoomed");
    const isNear = Math.abs(point.x - this.#dividerColumn()) < GRIP * devicePixelRatio;
    const slides = !this.#isSideBySide && (isNear || !isZoomed);
    const hold = () => {
      this.#press.isHeld = true;
      this.showsOriginal = true;
    };
    // A pointer that rests on the divider is about to drag it; elsewhere it shows the original.
    const timer = isNear && slides ? 0 : setTimeout(hold, HOLD_MILLISECONDS);
    this.#press = { point, slides, timer, isHeld: false, hasMoved: false };
  }

  #drag(event) {
    const from = this.#pointers.get(event.pointerId);
    if (!from) return;
    const to = this.#point(event);
    const press = this.#press;
    if (press?.isHeld) return;
    if (press && !press.hasMoved && distance(press.point, to) < SLOP * devicePixelRatio) return;
    if (press) {
      clearTimeout(press.timer);
      press.hasMoved = true;
    }
    this.#pointers.set(event.pointerId, to);
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      this.#pan((to.x - from.x) / 2, (to.y - from.y) / 2);
      this.#zoom(distance(to, other) / Math.max(1, distance(from, other)), between(to, other));
    } else if (press?.slides) this.#slideToColumn(to.x);
    else this.#pan(to.x - from.x, to.y - from.y);
  }

  #release(event) {
    const press = this.#press;
    const wasClick = press && !press.hasMoved && !press.isHeld && event.type === "pointerup";
    if (wasClick && press.slides) this.#slideToColumn(press.point.x);
    this.#pointers.delete(event.pointerId);
    this.#endPress();
  }

  #endPress() {
    if (!this.#press) return;
    clearTimeout(this.#press.timer);
    if (this.#press.isHeld) this.showsOriginal = false;
    this.#press = null;
  }

  #wheel(event) {
    if (!this.#photo) return;
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1;
    this.#zoom(2 ** ((-event.deltaY * lines) / 300), this.#point(event));
  }

  #toggle(event) {
    if (!this.#photo) return;
    if (this.#fits) this.#zoom(Math.max(1, 2 * this.#view.scale) / this.#view.scale, this.#point(event));
    else this.fit();
  }
}

function makePainter(canvas) {
  try {
    return new WebGLPainter(canvas);
  } catch {
    return new CanvasPainter(canvas);
  }
}

function distance(a, b) {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

function between(a, b) {
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}
