// A photo of this session: its file, its settings and its state.

import { DEFAULTS } from "./settings.js";

/** The states of a photo. */
export const WAITING = "waiting";
export const WORKING = "working";
export const DONE = "done";
export const FAILED = "failed";

export class Photo {
  state = WAITING;
  /** The network's answer as returned by `Previews.get`, and the error if there was one. */
  answer = null;
  error = null;
  /** The copy at screen size, see `makeCopy`. */
  copy = null;
  /** Whether the service has to make the copy, because the browser decodes the file wrongly. */
  byService = false;

  constructor(file, { id = newId(), settings = {}, added = Date.now() } = {}) {
    Object.assign(this, { id, file, settings: { ...DEFAULTS, ...settings }, added });
    this.name = file.name || `Photo of ${new Date(added).toLocaleTimeString()}`;
  }
}

/** crypto.randomUUID is available over HTTPS only. */
function newId() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join("-");
}
