// The parts of the service's HTTP API that the page uses: the list of models and POST /enhance.

const RETRIES = 3;
const KEY = "nightlift-api-key";
let apiKey = storedKey();

const NO_ANSWER = { title: "The server is not answering", detail: "It may be restarting. Try again in a moment." };
/** What errors mean if they do not come from the service but from a proxy, by their status. */
const BY_STATUS = {
  413: { title: "This file is too large", detail: "A proxy between this page and the server has refused it." },
  502: NO_ANSWER,
  503: NO_ANSWER,
  504: NO_ANSWER,
};

/**
 * An error in the form of RFC 9457: a short title, a sentence of detail, the HTTP status (0: no answer) and, as `slug`,
 * the last part of the problem type. `isOurs`: the page found the problem, so the texts are already written for users.
 */
export class Problem extends Error {
  constructor(status, { title = "The request failed", detail = "", type = "" } = {}, isOurs = false) {
    super(detail || title);
    Object.assign(this, { status, title, detail, slug: type.split("/").pop(), isOurs });
  }
}

/** Keep an API key until this tab is closed. */
export function useKey(key) {
  apiKey = key;
  try {
    sessionStorage.setItem(KEY, key);
  } catch {
    // The browser allows no storage: the key is kept until the page is left.
  }
}

/** Whether there is a key, which may be wrong. */
export function hasKey() {
  return Boolean(apiKey);
}

function storedKey() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** Fetch one of the page's own files as a Blob. Throws a Problem. */
export async function getFile(path) {
  const response = await fetchOrExplain(path, {});
  if (!response.ok) throw await problemOf(response.status, await response.blob());
  return response.blob();
}

/**
 * The answer to GET /models: {default, limits, models: [{name, version, family, state, ready, reason, ...}]}. Throws a
 * Problem.
 */
export async function listModels() {
  const response = await fetchOrExplain("models", { headers: credentials() });
  if (!response.ok) throw await problemOf(response.status, await response.blob());
  return response.json();
}

/**
 * Enhance one photo. Throws a Problem, or the reason of `signal` if that aborts.
 *
 * `options` are the query parameters; the service chooses those that are undefined or empty. `onprogress` is called
 * with {phase, done, total}, where the phase is "upload", "work" or "download", and the other two are bytes. Returns
 * {blob, report}: the enhanced photo, and the model, how it was rendered, the gate (0 to 1), the share of the photo
 * from which noise was removed (0 to 1), the parts of the file that the answer lacks, the size of the photo
 * {width, height} in pixels, its mean luminance before and after (0 to 1), and milliseconds by stage and in total.
 */
export async function enhance(file, options, { signal, onprogress = () => {} } = {}) {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== "");
  const path = `enhance?${new URLSearchParams(given)}`;
  const started = performance.now();
  const request = await untilTaken(() => post(path, file, signal, onprogress), signal);
  return { blob: request.response, report: readReport(request, performance.now() - started) };
}

/** A busy service says when to try again. The user hears of it only after several attempts. */
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

/** Uses XMLHttpRequest, because fetch does not report the progress of an upload. */
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
    request.onabort = () => end(reject, signal?.reason ?? new DOMException("Aborted", "AbortError"));
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
  const detail = "The server cannot be reached. Check your connection and that the server is running.";
  return new Problem(0, { title: "No connection", detail }, true);
}

async function problemOf(status, blob) {
  try {
    return new Problem(status, JSON.parse(await blob.text()));
  } catch {
    return new Problem(status, BY_STATUS[status], status in BY_STATUS);
  }
}

function credentials() {
  return apiKey ? { Authorization: `Bearer ${apiKey}` } : {};
}

/** Wait. Throws the reason of `signal` if that aborts. */
export function pause(milliseconds, signal) {
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
    restored: number("nightlift-restored"),
    dropped: request.getResponseHeader("nightlift-dropped")?.split(", ") ?? [],
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
