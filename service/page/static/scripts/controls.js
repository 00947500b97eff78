// The controls and what they say: which need the service (model, detail, gamma), which only light (strength, protect,
// gate), which only the file that is downloaded (format, quality).

const PERCENT = (value) => `${value} %`;
const OUTPUTS = { strength: PERCENT, protect: PERCENT, gamma: (value) => Number(value).toFixed(2), quality: String };
const LIGHT = ["strength", "protect", "gate"];
const INFERENCE = ["model", "detail", "gamma"];
const LOSSLESS = ["png", "tiff"];

export class Controls {
  /** Called when strength, protection or the gate changed. */
  onlight = () => {};
  /** Called when something changed on which the network's answer depends; `every`: the answer of every model. */
  oninference = (every) => {};
  /** The models that are ready: {value, label, variant, isDefault}. */
  models = [];

  constructor(form) {
    this.form = form;
    this.elements = form.elements;
    for (const name of LIGHT) this.elements[name].addEventListener("input", () => this.onlight());
    for (const name of INFERENCE) {
      this.elements[name].addEventListener("change", () => this.oninference(name !== "model"));
    }
    form.addEventListener("input", () => this.#describe());
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => this.#wasReset()));
    this.#describe();
  }

  /** Offer models as `listModels` gives them; those that are not ready or take no photos are left out; the chosen one stays. */
  offer({ default: preferred, models }) {
    const ready = models.filter(({ ready, takes_pictures }) => ready && takes_pictures);
    const versions = (name) => ready.filter((model) => model.name === name).length;
    this.models = ready.map(({ name, version, family }) => {
      const many = versions(name) > 1;
      return {
        value: many ? `${name}/${version}` : name,
        label: `${name}${many ? `, version ${version}` : ""}`,
        variant: `${family}/${version}`,
        isDefault: name === preferred,
      };
    });
    // The default model answers with its latest version, which is listed last.
    const first = this.models.findLast(({ isDefault }) => isDefault) ?? this.models[0];
    const chosen = this.models.find(({ value }) => value === this.model) ?? first;
    this.elements.model.replaceChildren(
      ...this.models.map((model) => new Option(model.label, model.value, model === first, model === chosen)),
    );
  }

  /** One model a family and version: variants of one network in other file formats look the same. */
  get distinctModels() {
    return [...new Map(this.models.toReversed().map((model) => [model.variant, model])).values()].reverse();
  }

  /** The chosen model's value in the list: its name, or name/version. */
  get model() {
    return this.elements.model.value;
  }

  /** {strength, protect, gate}: 0 to 1, and whether it is on. */
  get light() {
    const { strength, protect, gate } = this.elements;
    return { strength: strength.value / 100, protect: protect.value / 100, gate: gate.checked };
  }

  /** The parameters of a request that the network's answer depends on; of another `model` than the chosen one. */
  inference(model = this.model) {
    const [name, version] = model.split("/");
    return { model: name, version, detail: this.elements.detail.value, gamma: this.elements.gamma.value };
  }

  /** All parameters of a request for a finished file. */
  get file() {
    const { format, quality } = this.elements;
    return { ...this.inference(), ...this.light, format: format.value, quality: quality.value };
  }

  choose(model) {
    this.elements.model.value = model;
    this.oninference(false);
  }

  #wasReset() {
    this.#describe();
    this.onlight();
    this.oninference(true);
  }

  #describe() {
    for (const [name, text] of Object.entries(OUTPUTS)) {
      this.form.querySelector(`output[for="${name}"]`).value = text(this.elements[name].value);
    }
    this.elements.quality.disabled = LOSSLESS.includes(this.elements.format.value);
  }
}
