// The settings of a photo, which are plain objects, with the lists of sliders and presets.

const percent = (value) => `${value}%`;
const signed = (value) => `${value > 0 ? "+" : ""}${value}`;
const stops = (value) => `${value > 0 ? "+" : ""}${Number(value).toFixed(2)} EV`;
const plain = (value) => Number(value).toFixed(2);

const SHARE = { min: 0, max: 100, step: 1, scale: 100, isLive: true, text: percent };

/**
 * The sliders in their order on the page. `scale`: value of the slider for a parameter of 1. `isLive`: the page applies
 * the change itself while the slider moves; the others need a request. `isExpert`: it is under "More settings".
 * `hasAuto`: the service can choose the value, which is then "auto", the default. `needs`: what the service must offer.
 */
export const SLIDERS = [
  { name: "exposure", label: "Exposure", min: -2, max: 2, step: 0.05, value: 0, scale: 1, isLive: true, text: stops },
  { name: "shadows", label: "Shadows", min: -100, max: 100, step: 1, value: 0, scale: 100, isLive: true, text: signed },
  { name: "denoise", label: "Denoise", ...SHARE, isLive: false, value: 50, hasAuto: true, needs: "restorer" },
  { name: "protect", label: "Protect highlights", ...SHARE, value: 50 },
  { name: "strength", label: "Strength", ...SHARE, value: 100 },
  { name: "gamma", label: "Gamma", min: 0.3, max: 3, step: 0.05, value: 1, scale: 1, isExpert: true, text: plain },
];

/** The service's defaults; `model` "" stands for the default model. */
export const DEFAULTS = Object.freeze({
  model: "",
  detail: "auto",
  gate: true,
  ...Object.fromEntries(SLIDERS.map(({ name, value, scale, hasAuto }) => [name, hasAuto ? "auto" : value / scale])),
});

/** Named values of sliders; the others take their defaults. `needs` as for sliders. */
export const PRESETS = [
  { name: "Natural", values: {} },
  { name: "Lift shadows", values: { exposure: 0.3, shadows: 0.8 } },
  { name: "Night", values: { exposure: -0.5, protect: 0.8 } },
  { name: "Denoise", values: { denoise: 1 }, needs: "restorer" },
];

/** Settings with a preset applied; model and detail are kept. */
export function withPreset(settings, { values }) {
  const { model, detail } = settings;
  return { ...DEFAULTS, ...values, model, detail };
}

/** The preset that the settings match, or null. */
export function presetOf(settings) {
  return PRESETS.find((preset) => same(withPreset(settings, preset), settings)) ?? null;
}

export function same(one, other) {
  return Object.keys(DEFAULTS).every((name) => one[name] === other[name]);
}

/** The request parameters on which the network's answer depends, for the model of the settings or another `model`. */
export function inference(settings, model = settings.model) {
  const [name, version] = model.split("/");
  const asked = Object.fromEntries(SLIDERS.filter(({ isLive }) => !isLive).map(({ name }) => [name, settings[name]]));
  return { model: name, version, detail: settings.detail, ...asked };
}

/** All request parameters for a finished file; `output` is {format, quality}. */
export function finished(settings, output) {
  const { model, ...others } = settings;
  return { ...others, ...inference(settings), ...output };
}

/** Formats of finished files that have no quality. */
export const LOSSLESS = ["png", "tiff"];

/** The service answers these in the same format, or BMP and GIF as PNG, and all other files as JPEG. */
const ANSWERS = { png: "png", webp: "webp", avif: "avif", tiff: "tiff", tif: "tiff", bmp: "png", gif: "png" };

/** The format of the finished file of `file` if `output` is chosen, which may leave the format to the service. */
export function formatOf(file, { format }) {
  const ending = (file.type || file.name).split(/[/.]/).pop().toLowerCase();
  return format || (ANSWERS[ending] ?? "jpeg");
}
