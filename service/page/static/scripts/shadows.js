// Factors that brighten or darken only the shadows of sRGB pictures, as service/rendering/_shadows.py defines them.
//
// A pixel with the code value v gets the factor f(v). A guided filter smooths the factors of a small picture but keeps
// edges; its result is a slope and an offset for each pixel, which `grading.js` interpolates over the large picture.

const STOPS = 1.5;
const RISE = [0, 0.08];
export const MIDDLE_GREY = 1.055 * 0.18 ** (1 / 2.4) - 0.055;
const FALL = [0.1, MIDDLE_GREY];
const WINDOW = 1 / 16;
const FLAT = 0.015 ** 2;

/**
 * {width, height, values, most}: slopes and offsets, interleaved in a Float32Array [height * width * 2], and the factor
 * that is furthest from 1. `x` and `y` are the photo and the network's answer as returned by `small`, of the same size;
 * `gate` is the share of the enhancement, from 0 to 1, and `shadows` the setting, from -1 to 1.
 */
export function shadowField(x, y, gate, shadows) {
  const { width, height } = x;
  const guide = new Float32Array(width * height);
  const target = new Float32Array(width * height);
  for (let place = 0; place < guide.length; place++) {
    let brightest = 0;
    for (let i = 4 * place; i < 4 * place + 3; i++) {
      brightest = Math.max(brightest, x.data[i] + gate * (y.data[i] - x.data[i]));
    }
    guide[place] = brightest / 255;
    target[place] = factor(guide[place], shadows);
  }
  const radius = Math.max(1, Math.round(WINDOW * Math.max(width, height)));
  const mean = (values) => boxMean(values, width, height, radius);
  const middle = mean(guide);
  const goal = mean(target);
  const both = mean(guide.map((value, place) => value * target[place]));
  const squares = mean(guide.map((value) => value * value));
  const slope = middle.map((value, at) => (both[at] - value * goal[at]) / (squares[at] - value * value + FLAT));
  const slopes = mean(slope);
  const offsets = mean(goal.map((value, place) => value - slope[place] * middle[place]));
  const values = new Float32Array(2 * slopes.length);
  slopes.forEach((value, place) => values.set([value, offsets[place]], 2 * place));
  return { width, height, values, most: extreme(shadows) };
}

/** f over sRGB code values, 0 to 1. */
function factor(code, shadows) {
  return 2 ** (((shadows * STOPS) / 2.2) * step(code, RISE) * (1 - step(code, FALL)));
}

function extreme(shadows) {
  let result = 1;
  for (let code = 0; code <= MIDDLE_GREY; code += 1 / 1024) {
    result = shadows > 0 ? Math.max(result, factor(code, shadows)) : Math.min(result, factor(code, shadows));
  }
  return result;
}

/** Smoothstep: 0 up to the start, 1 from the end on. */
function step(value, [start, end]) {
  const part = Math.min(1, Math.max(0, (value - start) / (end - start)));
  return part * part * (3 - 2 * part);
}

/** Means over square windows with sides of 2 * radius + 1; the picture is mirrored at its borders. */
function boxMean(values, width, height, radius) {
  const across = new Float32Array(values.length);
  const result = new Float32Array(values.length);
  for (let row = 0; row < height; row++) slide(values, across, row * width, 1, width, radius);
  for (let column = 0; column < width; column++) slide(across, result, column, width, height, radius);
  return result;
}

/** Means along one line of `length` values that lie `stride` apart. */
function slide(values, result, start, stride, length, radius) {
  const at = (index) => {
    const folded = ((index % (2 * length)) + 2 * length) % (2 * length);
    return values[start + stride * Math.min(folded, 2 * length - 1 - folded)];
  };
  let sum = 0;
  for (let index = -radius; index <= radius; index++) sum += at(index);
  for (let index = 0; index < length; index++) {
    result[start + stride * index] = sum / (2 * radius + 1);
    sum += at(index + radius + 1) - at(index - radius);
  }
}
