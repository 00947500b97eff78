// Models as people know them: a name and a sentence for each family that is known here.

const FAMILIES = {
  nightlift: ["Nightlift", "Natural contrast and colour; calms noise. A good first choice."],
  zero_dce: ["Zero-DCE", "Lifts shadows strongly and keeps all texture, noise too. Good against the light."],
  zero_dce_improved: ["Zero-DCE, improved", "As Zero-DCE, and quicker; colours may turn a little violet."],
  exdnet: ["ExdNet", "Even, soft light, a little pale. Quick."],
  drbn: ["DRBN", "Smooth and soft: hides the noise of very dark photos."],
  drbn_perceptual: ["DRBN, perceptual", "As DRBN, with livelier contrast and colour."],
  drgn: ["DRGN", "Very clean, a little hazy: for very dark, noisy photos. Slower."],
  ded_net: ["DED-Net", "Clean and bright, a little hazy: for noisy photos of the night. Slower."],
};

/** {title, sentence} of a model as `GET /models` lists it; its own name where it is not known here. */
export function described({ name, family }) {
  const known = FAMILIES[name];
  if (known) return { title: known[0], sentence: known[1] };
  return { title: name, sentence: FAMILIES[family]?.[1] ?? "" };
}
