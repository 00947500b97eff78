// The page about models: what each one is good for, its quality, and its licence.

import { listModels } from "./api.js";
import { described } from "./models.js";

const message = document.getElementById("message");

try {
  const { default: preferred, models: all } = await listModels();
  const models = all
    .filter(({ takes_pictures: takesPictures }) => takesPictures !== false)
    .sort((one, other) => rank(one, preferred) - rank(other, preferred));
  document.getElementById("list").replaceChildren(...models.map((model) => card(model, model.name === preferred)));
  message.textContent = `${models.length} models`;
} catch (error) {
  message.textContent =
    error.status === 401 ? "This service requires an API key. Enter it on the main page in this tab." : error.message;
}

/** The default comes first, models that are not ready last. */
function rank({ name, ready }, preferred) {
  return name === preferred ? 0 : ready ? 1 : 2;
}

function card(model, isDefault) {
  const { title, sentence } = described(model);
  const item = document.createElement("li");
  const heading = part("h2", title);
  if (isDefault) heading.append(" ", part("small", "default"));
  const facts = document.createElement("dl");
  for (const [name, value] of factsOf(model)) facts.append(part("dt", name), part("dd", value));
  item.append(heading, part("p", sentence), facts);
  return item;
}

function factsOf({ name, version, state, ready, reason, scores, provider, device, licence }) {
  const { psnr, ssim, data } = scores ?? {};
  return [
    ["Name", version ? `${name}, version ${version}` : name],
    ["State", ready ? "ready" : stateOf(state, reason)],
    ["Quality", psnr ? `PSNR ${psnr} dB, SSIM ${ssim}${data ? ` on ${data}` : ""}` : ""],
    ["Runs on", [device, provider].filter(Boolean).join(", ")],
    ["Licence", licence],
  ].filter(([, value]) => value);
}

function stateOf(state, reason) {
  if (state === "UNAVAILABLE" && !reason) return "not loaded by this server";
  return [state.toLowerCase(), reason].filter(Boolean).join(": ");
}

function part(tag, text) {
  return Object.assign(document.createElement(tag), { textContent: text });
}
