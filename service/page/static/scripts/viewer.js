// The photo before and after with a divider between: zoom, pan, and slide, by mouse, touch and keyboard.

import { CanvasPainter } from "./painter_canvas.js";
import { WebGLPainter } from "./painter_webgl.js";
import { covered, exceeds, fitted, moved, zoomed } from "./view.js";

const GRIP = 24; // CSS pixels to either side of the divider within which it is grabbed
const ZOOM_STEP = 1.5;
const PAN_STEP = 80;
const UNCHANGED = { blend: 0, protect: 0 };
const REVEAL_MILLISECONDS = 700;

export class Viewer {
  /** Called with the zoom (canvas dots per photo pixel) when it changed. */
  onzoom = () => {};
  /** Called when the GPU lost the photo, and it has to be shown again. */
  onlost = () => {};

  #photo = null;
  #view = null;
  #fits = true;
  #hasAnswer = false;
  #grading = UNCHANGED;
  #pointers = new Map();
  #holdsDivider = false;
  #frame = 0;

  /** `stage` is the box, `canvas` fills it, `divider` is the line over it, `slider` the range input 0 to 100. */
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
    stage.addEventListener("keydown", (event) => this.#press(event));
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.painter.prepare();
      this.#photo = null;
      this.onlost();
    });
  }

  /** Longest side in pixels of the bitmaps that it can show. */
  get longestSide() {
    return this.painter.longestSide;
  }

  /** Show a photo as it came, a bitmap that is the viewer's from now on. */
  showBefore(bitmap) {
    const { width, height } = bitmap;
    this.painter.loadBefore(bitmap);
    this.#photo = { width, height };
    this.#hasAnswer = false;
    this.#fits = true;
    this.stage.style.setProperty("--ratio", width / height);
    this.#resize();
  }

  /** Show the network's answer to that photo, a bitmap of its size. */
  showAfter(bitmap) {
    this.painter.loadAfter(bitmap);
    this.#hasAnswer = true;
    this.#repaint();
  }

  /** Change how much of the answer is seen: {blend, protect}. */
  grade(grading) {
    this.#grading = grading;
    this.#repaint();
  }

  /** Draw the divider from the right edge to the middle: light comes into the photo. */
  reveal() {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const started = performance.now();
    const step = (now) => {
      const rest = (1 - Math.min(1, (now - started) / REVEAL_MILLISECONDS)) ** 3;
      if (this.#pointers.size > 0) return;
      this.#slideTo(50 + 50 * rest);
      if (rest > 0) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  fit() {
    this.#fits = true;
    this.#resize();
  }

  /** One photo pixel on one dot of the screen. */
  actualSize() {
    this.#zoom(1 / this.#view.scale, this.#middle());
  }

  zoomIn() {
    this.#zoom(ZOOM_STEP, this.#middle());
  }

  zoomOut() {
    this.#zoom(1 / ZOOM_STEP, this.#middle());
  }

  #room() {
    return { width: this.canvas.width, height: this.canvas.height };
  }

  #middle() {
    return { x: this.canvas.width / 2, y: this.canvas.height / 2 };
  }

  /** The place of a pointer in dots of the canvas. */
  #point(event) {
    const box = this.canvas.getBoundingClientRect();
    const dots = this.canvas.width / box.width;
    return { x: (event.clientX - box.left) * dots, y: (event.clientY - box.top) * dots };
  }

  #dividerColumn() {
    const [first, last] = covered(this.#view, this.#photo, this.#room());
    return first + ((last - first) * this.slider.value) / 100;
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

  #zoom(factor, point) {
    if (!this.#photo) return;
    this.#fits = false;
    this.#view = zoomed(this.#view, factor, point, this.#photo, this.#room());
    this.#changed();
  }

  #pan(x, y) {
    this.#view = moved(this.#view, x, y, this.#photo, this.#room());
    this.#changed();
  }

  #slideTo(percent) {
    this.slider.value = Math.min(100, Math.max(0, percent));
    this.#repaint();
  }

  #slideToColumn(column) {
    const [first, last] = covered(this.#view, this.#photo, this.#room());
    this.#slideTo((100 * (column - first)) / (last - first));
  }

  #changed() {
    this.stage.classList.toggle("zoomed", exceeds(this.#view, this.#photo, this.#room()));
    this.onzoom(this.#view.scale);
    this.#repaint();
  }

  /** However much changes between two frames of the screen, it is painted once. */
  #repaint() {
    if (this.#photo) this.#frame ||= requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    this.#frame = 0;
    if (!this.#photo) return;
    const column = this.#dividerColumn();
    this.painter.paint(this.#view, this.#hasAnswer ? this.#grading : UNCHANGED, column);
    this.divider.style.setProperty("--column", `${column / devicePixelRatio}px`);
    this.slider.setAttribute("aria-valuetext", `${Math.round(this.slider.value)} % before`);
  }

  #grab(event) {
    if (!this.#photo || event.button !== 0) return;
    this.stage.setPointerCapture(event.pointerId);
    const point = this.#point(event);
    this.#pointers.set(event.pointerId, point);
    const nearDivider = Math.abs(point.x - this.#dividerColumn()) < GRIP * devicePixelRatio;
    this.#holdsDivider = this.#pointers.size === 1 && (nearDivider || !this.stage.classList.contains("zoomed"));
    if (this.#holdsDivider) this.#slideToColumn(point.x);
  }

  #drag(event) {
    const from = this.#pointers.get(event.pointerId);
    if (!from) return;
    const to = this.#point(event);
    this.#pointers.set(event.pointerId, to);
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      this.#pan((to.x - from.x) / 2, (to.y - from.y) / 2);
      this.#zoom(distance(to, other) / Math.max(1, distance(from, other)), between(to, other));
    } else if (this.#holdsDivider) this.#slideToColumn(to.x);
    else this.#pan(to.x - from.x, to.y - from.y);
  }

  #release(event) {
    this.#pointers.delete(event.pointerId);
    this.#holdsDivider = false;
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

  /** The slider keeps its own arrow keys; with Shift they move the photo. */
  #press(event) {
    if (!this.#photo || event.ctrlKey || event.metaKey || event.altKey) return;
    const actions = {
      "+": () => this.zoomIn(),
      "=": () => this.zoomIn(),
      "-": () => this.zoomOut(),
      0: () => this.fit(),
      1: () => this.actualSize(),
    };
    const moves = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const action = event.shiftKey && moves[event.key] ? () => this.#step(moves[event.key]) : actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  #step([x, y]) {
    this.#pan(x * PAN_STEP * devicePixelRatio, y * PAN_STEP * devicePixelRatio);
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
