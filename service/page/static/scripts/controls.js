// The settings panel: presets, sliders, model and the other settings of a photo, and the format of finished files.

import { recall, remember } from "./memory.js";
import { described } from "./models.js";
import { DEFAULTS, LOSSLESS, PRESETS, presetOf, SLIDERS, withPreset } from "./settings.js";

export class Controls {
  /** `oninput` is called with the settings while a slider moves; `onchange` once, when a change is complete. */
  oninput = (settings) => {};
  onchange = (settings) => {};
  /** Called when the format or quality changes. */
  onoutput = () => {};
  /** The models that can be chosen: {value, label, sentence, variant, isDefault, wholePixels, takesExposure}. */
  models = [];

  #autos = new Map(); // buttons, by the name of their slider
  #optional = []; // {element, needs}
  #settings = { ...DEFAULTS };

  /** Sliders go into the elements `sliders` and `experts`, buttons into `presets`; `form` has the other controls. */
  constructor(form, { sliders, experts, presets, sentence }) {
    Object.assign(this, { form, elements: form.elements, sentence });
    for (const slider of SLIDERS) (slider.isExpert ? experts : sliders).append(this.#slider(slider));
    this.presets = PRESETS.map((preset) => [preset, this.#preset(preset)]);
    presets.append(...this.presets.map(([, button]) => button));
    for (const name of ["model", "detail", "gate"]) {
      this.elements[name].addEventListener("change", () => this.#change());
    }
    for (const name of ["format", "quality"]) this.elements[name].addEventListener("change", () => this.#keepOutput());
    form.addEventListener("input", () => this.#describe());
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      this.show({ ...DEFAULTS });
      this.onchange(this.#settings);
    });
    const { format = "", quality = this.elements.quality.value } = recall("output") ?? {};
    this.elements.format.value = format;
    this.elements.quality.value = quality;
    this.show(this.#settings);
  }

  /** Offer models as returned by `listModels`, except those that are not ready or do not take photos. */
  offer({ default: preferred, models, ...offered }) {
    for (const { element, needs } of this.#optional) element.hidden = !offered[needs];
    const ready = models.filter(({ ready, takes_pictures }) => ready && takes_pictures);
    const versions = (name) => ready.filter((model) => model.name === name).length;
    this.models = ready.map((model) => {
      const { name, version, family } = model;
      const isOneOfMany = versions(name) > 1;
      const { title, sentence } = described(model);
      return {
        value: isOneOfMany ? `${name}/${version}` : name,
        label: `${title}${isOneOfMany ? `, version ${version}` : ""}`,
        sentence,
        variant: `${family}/${version}`,
        isDefault: name === preferred,
        wholePixels: model.max_pixels ?? 0,
        takesExposure: model.takes_exposure ?? false,
      };
    });
    // The default model uses its latest version, which is listed last.
    this.first = this.models.findLast(({ isDefault }) => isDefault);
    const options = this.models.map(({ label, value }) => new Option(label, value, value === this.first?.value));
    if (!this.first) options.unshift(new Option(`${described({ name: preferred }).title} (not ready)`, ""));
    this.elements.model.replaceChildren(...options);
    this.show(this.#settings);
  }

  /** One model per family and version: the same network in different file formats gives the same picture. */
  get distinctModels() {
    return [...new Map(this.models.toReversed().map((model) => [model.variant, model])).values()].reverse();
  }

  /** Whether a model, as named in settings, can be chosen. */
  has(model) {
    return model === "" || this.models.some(({ value }) => value === model);
  }

  /** The name that settings have for a model of the list: "" for the default. */
  named(value) {
    return value === this.first?.value ? "" : value;
  }

  /** The most pixels that a model, as named in requests, processes at full resolution; 0 if unknown. */
  wholePixels(name) {
    return this.#called(name)?.wholePixels ?? 0;
  }

  /** Whether a model, as named in requests, has the exposure as an input. */
  takesExposure(name) {
    return this.#called(name)?.takesExposure ?? false;
  }

  /** {format, quality} of finished files; format "" keeps that of the original. */
  get output() {
    return { format: this.elements.format.value, quality: Number(this.elements.quality.value) };
  }

  /** Show settings. */
  show(settings) {
    this.#settings = settings;
    for (const { name, scale, value, hasAuto } of SLIDERS) {
      const isAuto = settings[name] === "auto";
      if (hasAuto) this.#autos.get(name).ariaPressed = isAuto;
      this.elements[name].value = isAuto ? value : Math.round(settings[name] * scale * 1e6) / 1e6;
    }
    this.elements.model.value = settings.model || (this.first?.value ?? "");
    this.elements.detail.value = settings.detail;
    this.elements.gate.checked = settings.gate;
    this.#describe();
  }

  choose(model) {
    this.elements.model.value = model;
    this.#change();
  }

  #called(name) {
    return name ? this.models.find(({ value }) => value.split("/")[0] === name) : this.first;
  }

  #slider({ name, label, min, max, step, value, isLive, hasAuto, needs }) {
    const row = document.createElement("label");
    const title = document.createElement("span");
    const output = Object.assign(document.createElement("output"), { ariaHidden: "true" });
    const range = { id: name, name, type: "range", min, max, step, value };
    const input = Object.assign(document.createElement("input"), range);
    output.setAttribute("for", name);
    row.htmlFor = name; // otherwise it would label the output, which comes first
    title.append(`${label} `, output);
    row.append(title, input);
    if (isLive) input.addEventListener("input", () => this.oninput(this.#read()));
    const auto = hasAuto ? this.#auto(input, value) : null;
    input.addEventListener("change", () => this.#change());
    input.addEventListener("dblclick", () => {
      input.value = value;
      if (auto) auto.ariaPressed = "true";
      this.#change();
    });
    const control = auto ? Object.assign(document.createElement("div"), { className: "with-auto" }) : row;
    if (auto) control.append(row, auto);
    if (needs) this.#hideWithout(needs, control);
    return control;
  }

  /** The button that leaves a slider's value to the service; moving the slider releases it. */
  #auto(input, value) {
    const attributes = { type: "button", className: "button", textContent: "Auto", ariaPressed: "true" };
    const button = Object.assign(document.createElement("button"), attributes, { ariaLabel: `Auto ${input.name}` });
    button.addEventListener("click", () => {
      button.ariaPressed = button.ariaPressed !== "true";
      if (button.ariaPressed === "true") input.value = value;
      this.#change();
    });
    input.addEventListener("input", () => (button.ariaPressed = "false"));
    this.#autos.set(input.name, button);
    return button;
  }

  #isAuto(name) {
    return this.#autos.get(name)?.ariaPressed === "true";
  }

  /** Hide an element as long as the service does not offer what it needs. */
  #hideWithout(needs, element) {
    element.hidden = true;
    this.#optional.push({ element, needs });
  }

  #preset(preset) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: preset.name });
    button.addEventListener("click", () => {
      this.show(withPreset(this.#settings, preset));
      this.onchange(this.#settings);
    });
    if (preset.needs) this.#hideWithout(preset.needs, button);
    return button;
  }

  #change() {
    this.#settings = this.#read();
    this.#describe();
    this.onchange(this.#settings);
  }

  #read() {
    const { model, detail, gate } = this.elements;
    const sliders = SLIDERS.map(({ name, scale }) => {
      return [name, this.#isAuto(name) ? "auto" : Number(this.elements[name].value) / scale];
    });
    return { model: this.named(model.value), detail: detail.value, gate: gate.checked, ...Object.fromEntries(sliders) };
  }

  #describe() {
    for (const { name, text } of SLIDERS) {
      this.#output(name, this.#isAuto(name) ? "auto" : text(this.elements[name].value));
    }
    this.#output("quality", this.elements.quality.value);
    this.elements.quality.disabled = LOSSLESS.includes(this.elements.format.value);
    const preset = presetOf(this.#read());
    for (const [other, button] of this.presets) button.setAttribute("aria-pressed", other === preset);
    const chosen = this.models.find(({ value }) => value === this.elements.model.value);
    this.sentence.textContent = chosen?.sentence ?? "";
  }

  #output(name, text) {
    this.form.querySelector(`output[for="${name}"]`).value = text;
    this.elements[name].ariaValueText = text;
  }

  #keepOutput() {
    remember("output", this.output);
    this.onoutput();
  }
}
