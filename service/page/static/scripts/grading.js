// Grading, the adjustments after the network, in the browser, as service/rendering/_grade.py defines them: exposure,
// shadows, strength, the gate for well-lit photos and the protection of highlights need no request.
//
//     target = T(F * (x + gate * (y - x)))
//     out = x + blend * (1 - protect * s(l)) * (target - x),    s(l) = c / sqrt((1 - l)^2 + c^2)
//
// x is the photo, y the network's answer at strength 1, protect 0 and gate off, l the luminance of x; all are from 0 to
// 1. T is the exposure curve (service/rendering/_exposure.py), F the factor of the shadows (`shadows.js`).

import { MIDDLE_GREY, shadowField } from "./shadows.js";

const SHADOW_FLOOR = 0.15;
const SHOULDERS = { brighter: 1.5, darker: 1 };
const FLATTEST = 0.35; // as in service/rendering/native/grade.h
const STEEPEST = 2;
const CURVE_STEPS = 1 << 14;
export const LUMINANCE = [0.2126, 0.7152, 0.0722];

/** Long side in pixels of the small pictures from which the shadow factors are computed. */
export const SEEN_SIDE = 256;

/** Numbers for `gradePixels` that show the photo itself, and those that show the answer itself, a finished file. */
export const UNCHANGED = { blend: 0, protect: 0, gate: 1, gain: 1, field: null };
export const FINISHED = { blend: 1, protect: 0, gate: 1, gain: 1, field: null };

/**
 * The numbers that the formula needs, {blend, protect, gate, gain, field}, from a photo's settings, the service's
 * report `measured` ({gate}, and `told`, the exposure that the model has already applied), and `seen`, the photo and
 * its answer as returned by `small`, {x, y}.
 */
export function grading({ strength, protect, gate, exposure, shadows }, measured, seen) {
  const through = gate ? measured.gate : 1;
  const field = shadows !== 0 && seen ? shadowField(seen.x, seen.y, through, shadows) : null;
  const left = exposure - (measured.told ?? 0);
  if (left === 0 && field === null) return { ...UNCHANGED, blend: strength * through, protect };
  return { blend: strength, protect, gate: through, gain: 2 ** left, field };
}

/** The `area` of a picture that shows the whole photo. */
const ALL = { left: 0, top: 0, width: 1, height: 1 };

/**
 * Grade pixels. x, y and `result` are ImageData of the same size; `result` may be one of the others. `area` is the part
 * of the photo that they show, {left, top, width, height} as fractions of its sides.
 */
export function gradePixels(x, y, { blend, protect, gate, gain, field }, result, area = ALL) {
  const [red, green, blue] = LUMINANCE.map((weight) => weight / 255);
  const curve = gain === 1 ? null : curveTable(gain);
  const factors = field && sampler(field, area, x.width, x.height);
  const { data: source } = x;
  const { data: answer } = y;
  const { data: out } = result;
  const target = [0, 0, 0];
  for (let i = 0; i < source.length; i += 4) {
    for (let c = 0; c < 3; c++) target[c] = source[i + c] + gate * (answer[i + c] - source[i + c]);
    if (factors) {
      const factor = factors(i / 4, Math.max(...target) / 255);
      for (let c = 0; c < 3; c++) target[c] *= factor;
    }
    if (curve) {
      for (let c = 0; c < 3; c++) {
        target[c] = 255 * curve[Math.round((Math.min(255, target[c]) / 255) * (CURVE_STEPS - 1))];
      }
    }
    const darkness = 1 - (red * source[i] + green * source[i + 1] + blue * source[i + 2]);
    const share = blend * (1 - (protect * SHADOW_FLOOR) / Math.sqrt(darkness * darkness + SHADOW_FLOOR ** 2));
    for (let c = 0; c < 3; c++) out[i + c] = source[i + c] + share * (target[c] - source[i + c]);
    out[i + 3] = source[i + 3];
  }
}

/** The exposure curve, sampled at sRGB code values from 0 to 1. */
function curveTable(gain) {
  const power = shoulder(gain);
  return Float32Array.from({ length: CURVE_STEPS }, (_, index) => {
    const code = index / (CURVE_STEPS - 1);
    const light = code <= 0.04045 ? code / 12.92 : ((code + 0.055) / 1.055) ** 2.4;
    const exposed = (gain * light) / (1 + (gain ** power - 1) * light ** power) ** (1 / power);
    return exposed <= 0.0031308 ? 12.92 * exposed : 1.055 * exposed ** (1 / 2.4) - 0.055;
  });
}

/** The exponent of the highlight roll-off. */
function shoulder(gain) {
  return gain > 1 ? SHOULDERS.brighter : SHOULDERS.darker;
}

/** A function of a pixel's index and its brightest channel (0 to 1) that returns the shadow factor of the pixel. */
function sampler({ width, height, values, most }, area, columns, rows) {
  const line = (count, start, length, size) =>
    Array.from({ length: count }, (_, index) => {
      const place = Math.min(size - 1, Math.max(0, (start + (length * (index + 0.5)) / count) * size - 0.5));
      const first = Math.min(Math.floor(place), Math.max(0, size - 2));
      return [first, Math.min(first + 1, size - 1), place - first];
    });
  const across = line(columns, area.left, area.width, width);
  const down = line(rows, area.top, area.height, height);
  return (pixel, brightest) => {
    const [left, right, x] = across[pixel % columns];
    const [top, bottom, y] = down[Math.floor(pixel / columns)];
    const value = (which) => {
      const at = (row, column) => values[2 * (row * width + column) + which];
      const above = at(top, left) + x * (at(top, right) - at(top, left));
      return above + y * (at(bottom, left) + x * (at(bottom, right) - at(bottom, left)) - above);
    };
    return limited(value(0) * brightest + value(1), brightest, most);
  };
}

function limited(factor, brightest, most) {
  const distance = MIDDLE_GREY / Math.max(brightest, 1 / 255);
  const lower = Math.max(Math.min(1, most), Math.min(1, STEEPEST + (1 - STEEPEST) * distance));
  const upper = Math.min(Math.max(1, most), Math.max(1, FLATTEST + (1 - FLATTEST) * distance));
  return Math.min(Math.max(factor, lower), upper);
}

/** The names of the shader's uniforms, and their values for numbers of `grading`; without a field, `most` is 0. */
export const GRADE_UNIFORMS = ["blend", "protect", "gate", "gain", "most"];
export function uniforms({ field, ...numbers }) {
  return { ...numbers, most: field?.most ?? 0 };
}

/**
 * The same as `gradePixels` for a fragment shader: `vec3 grade(vec3 x, vec3 y, vec2 place)`, with the place in the
 * photo from 0 to 1. The texture `field` holds slopes and offsets.
 */
export const GRADE_SHADER = `
  uniform float blend, protect, gate, gain, most;
  uniform sampler2D field;

  vec3 exposed(vec3 code) {
    vec3 light = mix(code / 12.92, pow((code + 0.055) / 1.055, vec3(2.4)), greaterThan(code, vec3(0.04045)));
    float power = gain > 1.0 ? ${SHOULDERS.brighter.toFixed(1)} : ${SHOULDERS.darker.toFixed(1)};
    vec3 bend = 1.0 + (pow(gain, power) - 1.0) * pow(max(light, 1e-9), vec3(power));
    vec3 more = gain * light / pow(bend, vec3(1.0 / power));
    return mix(12.92 * more, 1.055 * pow(max(more, 1e-9), vec3(1.0 / 2.4)) - 0.055, greaterThan(more, vec3(0.0031308)));
  }

  float shadowFactor(float brightest, vec2 place) {
    vec2 line = texture(field, place).rg;
    float distance = ${MIDDLE_GREY} / max(brightest, 1.0 / 255.0);
    float lower = max(min(1.0, most), min(1.0, ${STEEPEST.toFixed(1)} + ${(1 - STEEPEST).toFixed(1)} * distance));
    float upper = min(max(1.0, most), max(1.0, ${FLATTEST} + ${1 - FLATTEST} * distance));
    return min(max(line.x * brightest + line.y, lower), upper);
  }

  vec3 grade(vec3 x, vec3 y, vec2 place) {
    vec3 target = x + gate * (y - x);
    if (most > 0.0) target *= shadowFactor(max(target.r, max(target.g, target.b)), place);
    if (gain != 1.0) target = exposed(min(target, 1.0));
    float darkness = 1.0 - dot(x, vec3(${LUMINANCE.join(", ")}));
    float share = blend * (1.0 - protect * ${SHADOW_FLOOR} * inversesqrt(darkness * darkness + ${SHADOW_FLOOR ** 2}));
    return x + share * (target - x);
  }
`;
