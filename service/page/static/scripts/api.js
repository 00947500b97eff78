// The service's HTTP interface as the page uses it: the list of models, and POST /enhance.

const RETRIES = 3;
const KEY = "nightlift-api-key";

/** What the service said went wrong (RFC 9457): a short title, a sentence of detail, the HTTP status (0: no answer). */
export class Problem extends Error {
  constructor(status, { title = "The request failed", detail = "" } = {}) {
    super(detail || title);
    Object.assign(this, { status, title, detail });
  }
}

/** Keep an API key for this tab, for services that ask for one. */
export function useKey(key) {
  sessionStorage.setItem(KEY, key);
}

/** Whether there is such a key. */
export function hasKey() {
  return sessionStorage.getItem(KEY) !== null;
}

/** A file of the page as a Blob. */
export async function getFile(path) {
  return (await send(path)).blob();
}

/** {default, models: [{name, version, family, state, ready, reason, takes_pictures, ...}]}, as the service gives it. */
export async function listModels() {
  return (await send("models")).json();
}

/**
 * Enhance one photo.
 *
 * `options` has the names of the query's parameters; undefined and empty ones are left to the service. Answers
 * {blob, report}, the report with the model, how it was rendered, the gate (0 to 1), mean luminance before and after
 * (0 to 1), and milliseconds by stage and in all.
 */
export async function enhance(file, options, signal) {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== "");
  const started = performance.now();
  const response = await send(`enhance?${new URLSearchParams(given)}`, { method: "POST", body: file, signal });
  const blob = await response.blob();
  return { blob, report: readReport(response.headers, performance.now() - started) };
}

/** A busy service says when to come back; that is no matter to bother a person with, unless it happens again. */
async function send(path, request = {}) {
  for (let attempt = 0; ; attempt++) {
    const response = await fetchOrExplain(path, { ...request, headers: credentials() });
    if (response.ok) return response;
    const wait = Number(response.headers.get("retry-after"));
    const passing = (response.status === 503 || response.status === 429) && wait > 0 && attempt < RETRIES;
    if (!passing) throw new Problem(response.status, await response.json().catch(() => ({})));
    await pause(1000 * wait, request.signal);
  }
}

async function fetchOrExplain(path, request) {
  try {
    return await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { title: "No answer", detail: "The service cannot be reached. Is it still running?" });
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

function readReport(headers, elapsed) {
  const number = (name) => Number(headers.get(name));
  return {
    model: headers.get("nightlift-model"),
    detail: headers.get("nightlift-detail"),
    gate: number("nightlift-gate"),
    before: number("nightlift-luminance-before"),
    after: number("nightlift-luminance-after"),
    stages: readStages(headers.get("server-timing") ?? ""),
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
