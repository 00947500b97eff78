// Luminance histograms of the photo before and after, drawn as two curves.

import { LUMINANCE, gradePixels } from "./grading.js";
import { sample } from "./pixels.js";

const SAMPLE_SIDE = 400;
const BINS = 128;

export class Histogram {
  /** `svg` contains two paths, with the classes `before` and `after`. */
  constructor(svg) {
    this.svg = svg;
    this.paths = ["before", "after"].map((name) => svg.querySelector(`.${name}`));
    svg.setAttribute("viewBox", `0 0 ${BINS - 1} 1`);
  }

  takeBefore(bitmap) {
    this.before = sample(bitmap, SAMPLE_SIDE);
    this.after = null;
  }

  takeAfter(bitmap) {
    this.after = sample(bitmap, SAMPLE_SIDE, this.before);
  }

  /** Draw, with `grading` as for `gradePixels`. Returns the mean luminance {before, after}, each from 0 to 1. */
  draw(grading) {
    const graded = new ImageData(this.before.width, this.before.height);
    gradePixels(this.before, this.after ?? this.before, grading, graded);
    const spreads = [this.before.data, graded.data].map(spread);
    const highest = Math.max(...spreads.flatMap(({ counts }) => [...counts.subarray(1, BINS - 1)]), 1);
    spreads.forEach(({ counts }, which) => this.paths[which].setAttribute("d", outline(counts, highest)));
    const [dark, bright] = spreads.map(({ mean }) => mean);
    const label = `Histogram. Mean brightness: ${percent(dark)} before, ${percent(bright)} after`;
    this.svg.setAttribute("aria-label", label);
    return { before: dark, after: bright };
  }
}

export function percent(share) {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`;
}

/** {counts, mean} of the luminance of RGBA bytes; the mean is from 0 to 1. */
function spread(pixels) {
  const counts = new Float32Array(BINS);
  let sum = 0;
  for (let i = 0; i < pixels.length; i += 4) {
    const luminance = LUMINANCE[0] * pixels[i] + LUMINANCE[1] * pixels[i + 1] + LUMINANCE[2] * pixels[i + 2];
    counts[Math.floor((luminance * BINS) / 256)]++;
    sum += luminance;
  }
  return { counts, mean: sum / (pixels.length / 4) / 255 };
}

/** Square roots make the few bright pixels of a dark photo visible. The bins of black and white may be cut off. */
function outline(counts, highest) {
  const points = [...counts].map((count, bin) => `${bin},${(1 - Math.min(1, Math.sqrt(count / highest))).toFixed(4)}`);
  return `M0,1L${points.join("L")}L${BINS - 1},1Z`;
}
