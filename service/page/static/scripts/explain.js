// Errors in words for users: {title, detail, canRetry} of a Problem or of any other error.

/** Titles for the service's problem types; the page's own problems already have titles for users. */
const TITLES = {
  "unreadable-picture": "This photo cannot be read",
  "unsupported-format": "This kind of file is not supported",
  "body-too-large": "This file is too large",
  "body-too-slow": "The upload took too long",
  "unsupported-shape": "This photo cannot be enhanced here",
  "invalid-parameter": "This setting does not work for this photo",
  "model-not-found": "This model is no longer available",
  "model-not-ready": "This model is not ready yet",
  "rate-limited": "Too many photos at once",
  "queue-full": "The server is busy",
  unavailable: "The server is busy",
  draining: "The server is restarting",
  "out-of-memory": "The server is short of memory right now",
  "engine-unavailable": "The server is recovering",
  "deadline-exceeded": "The server took too long",
  "engine-failed": "The server failed on this photo",
  internal: "The server failed on this photo",
};

/** Statuses after which the same request may succeed, in some cases with another key. */
const MAY_PASS = [0, 401, 403, 408, 429, 500, 502, 503, 504];

export function explain(error) {
  if (error.status === undefined) return { title: "Something went wrong", detail: error.message, canRetry: true };
  const { slug, title, detail, isOurs } = error;
  return {
    title: isOurs ? title : (TITLES[slug] ?? title),
    detail: isOurs ? detail : sentence(detail),
    canRetry: mayPass(error),
  };
}

/** Whether the same request may succeed later. */
export function mayPass({ status }) {
  return status === undefined || MAY_PASS.includes(status);
}

function sentence(text) {
  if (!text) return "";
  return text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}
