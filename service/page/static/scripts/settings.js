// What can be set for a photo: one list of sliders, one of presets, and the settings themselves, plain objects.

const percent = (value) => `${value} %`;
const signed = (value) => `${value > 0 ? "+" : ""}${value}`;
const stops = (value) => `${value > 0 ? "+" : ""}${Number(value).toFixed(2)} EV`;
const plain = (value) => Number(value).toFixed(2);

const SHARE = { min: 0, max: 100, step: 1, scale: 100, isLive: true, text: percent };

/**
 * The sliders, in their order. `scale`: positions of the slider for 1 of the parameter. `isLive`: the page shows the
 * change itself, at once; for the others it asks the service. `isExpert`: it lies under "More settings".
 */
export const SLIDERS = [
  { name: "exposure", label: "Exposure", min: -2, max: 2, step: 0.05, value: 0, scale: 1, isLive: true, text: stops },
  { name: "shadows", label: "Shadows", min: -100, max: 100, step: 1, value: 0, scale: 100, isLive: true, text: signed },
  { name: "protect", label: "Protect highlights", ...SHARE, value: 50 },
  { name: "strength", label: "Strength", ...SHARE, value: 100 },
  { name: "gamma", label: "Gamma", min: 0.3, max: 3, step: 0.05, value: 1, scale: 1, isExpert: true, text: plain },
];

/** What the service does where nothing is set; `model` is "" for the service's own default. */
export const DEFAULTS = Object.freeze({
  model: "",
  detail: "auto",
  gate: true,
  ...Object.fromEntries(SLIDERS.map(({ name, value, scale }) => [name, value / scale])),
});

/** Names for looks: the values of sliders, the others at their defaults. */
export const PRESETS = [
  { name: "Natural", values: {} },
  { name: "Lift shadows", values: { exposure: 0.3, shadows: 0.8 } },
  { name: "Night", values: { exposure: -0.5, protect: 0.8 } },
];

/** Settings with the sliders as a preset has them; model and detail stay. */
export function withPreset(settings, { values }) {
  const { model, detail } = settings;
  return { ...DEFAULTS, ...values, model, detail };
}

/** The preset whose values the settings have, or null. */
export function presetOf(settings) {
  return PRESETS.find((preset) => same(withPreset(settings, preset), settings)) ?? null;
}

export function same(one, other) {
  return Object.keys(DEFAULTS).every((name) => one[name] === other[name]);
}

/** The parameters of a request on which the network's answer depends; of another `model` than the one that is set. */
export function inference(settings, model = settings.model) {
  const [name, version] = model.split("/");
  const asked = Object.fromEntries(SLIDERS.filter(({ isLive }) => !isLive).map(({ name }) => [name, settings[name]]));
  return { model: name, version, detail: settings.detail, ...asked };
}

/** All parameters of a request for a finished file; `output` is {format, quality}. */
export function finished(settings, output) {
  const { model, ...others } = settings;
  return { ...others, ...inference(settings), ...output };
}
