// The page: one photo goes to POST /enhance at full strength; strength itself is blended here, without a request.

const $ = (id) => document.getElementById(id);
const state = { photo: null, name: "photo", before: null, after: null, answer: null, request: 0 };

async function listModels() {
  const listing = await (await fetch("/models")).json();
  const ready = [...new Set(listing.models.filter((model) => model.ready).map((model) => model.name))];
  $("model").replaceChildren(
    ...ready.map((name) => {
      const label = name === listing.default ? `${name} (default)` : name;
      return new Option(label, name, name === listing.default, name === listing.default);
    }),
  );
}

function say(text, bad = false) {
  $("message").textContent = text;
  $("message").classList.toggle("bad", bad);
}

function parameters(more = {}) {
  const chosen = { model: $("model").value, protect: $("protect").value / 100, ...more };
  return new URLSearchParams(Object.entries(chosen).filter(([, value]) => value !== ""));
}

async function post(photo, more) {
  const response = await fetch(`/enhance?${parameters(more)}`, { method: "POST", body: photo });
  if (!response.ok) {
    const problem = await response.json().catch(() => ({ detail: response.statusText }));
    throw new Error(problem.detail ?? problem.title);
  }
  return response;
}

async function enhance() {
  if (!state.photo) return;
  const mine = ++state.request;
  say("Enhancing …");
  try {
    // PNG both ways, so that what is blended here is exactly what the service computed.
    const [response, original] = await Promise.all([
      post(state.photo, { format: "png" }),
      post(state.photo, { format: "png", strength: 0 }),
    ]);
    const [after, before] = await Promise.all([response, original].map(pixels));
    if (mine !== state.request) return;
    Object.assign(state, { after, before });
    draw();
    describe(response);
    say("");
  } catch (error) {
    if (mine !== state.request) return;
    say(error.message, true);
  }
}

async function pixels(response) {
  const bitmap = await createImageBitmap(await response.blob(), { colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

function paint(canvas, image) {
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function blend() {
  const strength = $("strength").value / 100;
  const { before, after } = state;
  const result = new ImageData(before.width, before.height);
  for (let i = 0; i < result.data.length; i++) {
    result.data[i] = before.data[i] + strength * (after.data[i] - before.data[i]);
  }
  return result;
}

function draw() {
  paint($("before"), state.before);
  paint($("after"), blend());
  $("comparison").hidden = false;
  $("download").hidden = false;
}

function describe(response) {
  const stages = (response.headers.get("server-timing") ?? "")
    .split(",")
    .map((part) => part.trim().match(/^(\w+);dur=([\d.]+)$/))
    .filter(Boolean)
    .map(([, stage, milliseconds]) => `${stage} ${Number(milliseconds).toFixed(0)} ms`);
  const share = (name) => `${(100 * response.headers.get(name)).toFixed(0)} %`;
  $("facts").textContent = [
    `${state.before.width} × ${state.before.height}`,
    response.headers.get("nightlift-model"),
    response.headers.get("nightlift-detail"),
    `mean light ${share("nightlift-luminance-before")} → ${share("nightlift-luminance-after")}`,
    stages.join(", "),
  ].join(" · ");
}

async function download() {
  const response = await post(state.photo, { strength: $("strength").value / 100, format: $("format").value });
  const kind = response.headers.get("content-type").split("/")[1];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = `${state.name}-bright.${kind === "jpeg" ? "jpg" : kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function take(file) {
  if (!file) return;
  state.photo = file;
  state.name = (file.name ?? "photo").replace(/\.[^.]*$/, "");
  enhance();
}

function slideTo(percent) {
  $("position").value = percent;
  $("stage").style.setProperty("--position", `${percent}%`);
}

function slideToPointer(event) {
  const box = $("stage").getBoundingClientRect();
  slideTo(Math.min(100, Math.max(0, (100 * (event.clientX - box.left)) / box.width)));
}

$("file").addEventListener("change", (event) => take(event.target.files[0]));
$("model").addEventListener("change", enhance);
$("protect").addEventListener("input", () => ($("protect-value").value = `${$("protect").value} %`));
$("protect").addEventListener("change", enhance);
$("strength").addEventListener("input", () => {
  $("strength-value").value = `${$("strength").value} %`;
  if (state.before) paint($("after"), blend());
});
$("position").addEventListener("input", (event) => slideTo(event.target.value));
$("stage").addEventListener("pointerdown", (event) => {
  $("stage").setPointerCapture(event.pointerId);
  slideToPointer(event);
});
$("stage").addEventListener("pointermove", (event) => event.buttons && slideToPointer(event));
$("download").addEventListener("click", () => download().catch((error) => say(error.message, true)));
$("controls").addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("paste", (event) => take(event.clipboardData.files[0]));
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
  });
}
document.addEventListener("drop", (event) => take(event.dataTransfer.files[0]));

listModels().catch(() => say("The service does not list its models; is it still starting?", true));
