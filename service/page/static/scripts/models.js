// A display name and a description for each known model.

const FAMILIES = {
  nightlift: ["Nightlift", "Natural contrast and colour, with less noise. A good first choice."],
  zero_dce: ["Zero-DCE", "Lifts shadows strongly and keeps all texture, including noise. Good for backlit photos."],
  zero_dce_improved: ["Zero-DCE, improved", "Like Zero-DCE but faster; colours may turn slightly violet."],
  exdnet: ["ExdNet", "Even, soft light, a little pale. Fast."],
  drbn: ["DRBN", "Smooth and soft: hides the noise of very dark photos."],
  drbn_perceptual: ["DRBN, perceptual", "Like DRBN, with livelier contrast and colour."],
  drgn: ["DRGN", "Very clean, a little hazy: for very dark, noisy photos. Slower."],
  ded_net: ["DED-Net", "Clean and bright, a little hazy: for noisy night photos. Slower."],
};

/** {title, sentence} for a model as listed by `GET /models`; an unknown model is shown under its own name. */
export function described({ name, family }) {
  const known = FAMILIES[name];
  if (known) return { title: known[0], sentence: known[1] };
  return { title: name, sentence: FAMILIES[family]?.[1] ?? "" };
}
