// The service's HTTP interface as the page uses it: the list of models, and POST /enhance.

const RETRIES = 3;
const KEY = "nightlift-api-key";

/**
 * What went wrong (RFC 9457): a short title, a sentence of detail, the HTTP status (0: no answer), and the problem type's
 * last part. `isOurs`: it was this page that found it.
 */
export class Problem extends Error {
  constructor(status, { title = "The request failed", detail = "", type = "" } = {}, isOurs = false) {
    super(detail || title);
    Object.assign(this, { status, title, detail, slug: type.split("/").pop(), isOurs });
  }
}

/** Keep an API key for this tab, for services that ask for one. */
export function useKey(key) {
  sessionStorage.setItem(KEY, key);
}

/** A file of the page as a Blob. */
export async function getFile(path) {
  const response = await fetchOrExplain(path, {});
  if (!response.ok) throw await problemOf(response.status, await response.blob());
  return response.blob();
}

/** {default, limits, models: [{name, version, family, state, ready, reason, takes_pictures, ...}]}, as it is given. */
export async function listModels() {
  const response = await fetchOrExplain("models", { headers: credentials() });
  if (!response.ok) throw await problemOf(response.status, await response.blob());
  return response.json();
}

/**
 * Enhance one photo.
 *
 * `options` has the names of the query's parameters; undefined and empty ones are left to the service. `onprogress` is
 * called with {phase, done, total}: the phase is "upload", "work" or "download", the others are bytes. Answers
 * {blob, report}, the report with the model, how it was rendered, the gate (0 to 1), the photo's size {width, height},
 * mean luminance before and after (0 to 1), and milliseconds by stage and in all.
 */
export async function enhance(file, options, { signal, onprogress = () => {} } = {}) {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== "");
  const path = `enhance?${new URLSearchParams(given)}`;
  const started = performance.now();
  const request = await untilTaken(() => post(path, file, signal, onprogress), signal);
  return { blob: request.response, report: readReport(request, performance.now() - started) };
}

/** A busy service says when to come back; that is no matter to bother a person with, unless it happens again. */
async function untilTaken(send, signal) {
  for (let attempt = 0; ; attempt++) {
    const request = await send();
    if (request.status >= 200 && request.status < 300) return request;
    const wait = Number(request.getResponseHeader("retry-after"));
    const passing = (request.status === 503 || request.status === 429) && wait > 0 && attempt < RETRIES;
    if (!passing) throw await problemOf(request.status, request.response);
    await pause(1000 * wait, signal);
  }
}

/** XMLHttpRequest, because fetch does not tell how much of an upload is done. */
function post(path, body, signal, onprogress) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    const end = (settle, value) => {
      signal?.removeEventListener("abort", abort);
      settle(value);
    };
    request.open("POST", path);
    request.responseType = "blob";
    for (const [name, value] of Object.entries(credentials())) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onprogress({ phase: "upload", done: loaded, total });
    request.upload.onload = () => onprogress({ phase: "work", done: 0, total: 0 });
    request.onprogress = ({ loaded, total }) => onprogress({ phase: "download", done: loaded, total });
    request.onload = () => end(resolve, request);
    request.onerror = () => end(reject, unreachable());
    request.onabort = () => end(reject, signal?.reason ?? new DOMException("Given up", "AbortError"));
    signal?.addEventListener("abort", abort);
    request.send(body);
  });
}

async function fetchOrExplain(path, request) {
  try {
    return await fetch(path, request);
  } catch {
    throw unreachable();
  }
}

function unreachable() {
  const detail = "The server cannot be reached. Check your connection, and whether the server is running.";
  return new Problem(0, { title: "No connection", detail }, true);
}

async function problemOf(status, blob) {
  try {
    return new Problem(status, JSON.parse(await blob.text()));
  } catch {
    return new Problem(status);
  }
}

function credentials() {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

function readReport(request, elapsed) {
  const number = (name) => Number(request.getResponseHeader(name));
  const [width, height] = (request.getResponseHeader("nightlift-source-size") ?? "").split("x").map(Number);
  return {
    model: request.getResponseHeader("nightlift-model"),
    detail: request.getResponseHeader("nightlift-detail"),
    gate: number("nightlift-gate"),
    size: { width, height },
    before: number("nightlift-luminance-before"),
    after: number("nightlift-luminance-after"),
    stages: readStages(request.getResponseHeader("server-timing") ?? ""),
    elapsed,
  };
}

/** "decode;dur=12.3, infer;dur=45" to [{name: "decode", milliseconds: 12.3}, ...] */
function readStages(text) {
  return [...text.matchAll(/([\w-]+);dur=([\d.]+)/g)].map(([, name, duration]) => ({
    name,
    milliseconds: Number(duration),
  }));
}
