// A photo of this session: its file, its settings, and what has become of it.

import { DEFAULTS } from "./settings.js";

/** What may be said of a photo: it waits, is under way, is enhanced, or cannot be. */
export const WAITING = "waiting";
export const WORKING = "working";
export const DONE = "done";
export const FAILED = "failed";

export class Photo {
  state = WAITING;
  /** The network's answer as `Previews` gives it, and what went wrong. */
  answer = null;
  error = null;
  /** The copy that `Previews` made. */
  copy = null;
  /** Whether the browser's decoding does not do, so that the service's copy is shown. */
  byService = false;

  constructor(file, { id = newId(), settings = { ...DEFAULTS }, added = Date.now() } = {}) {
    Object.assign(this, { id, file, settings, added });
    this.name = file.name || `Photo of ${new Date(added).toLocaleTimeString()}`;
  }
}

/** Not crypto.randomUUID, which pages without HTTPS do not have. */
function newId() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join("-");
}
