// Finished files, made by the service at full size with all options: it preserves bit depth, colour profile and
// metadata. The latest are cached, so that a file fetched for zooming in is not fetched again for the download.

import { enhance } from "./api.js";
import { Sharing } from "./sharing.js";

const KEPT_BYTES = 96e6;

export class Finals {
  #kept = new Map();
  #sharing = new Sharing();

  /** `check(photo)` throws a Problem if a photo's file cannot be sent. */
  constructor(check) {
    this.check = check;
  }

  /** {blob, report} of a photo, as `enhance` returns them for `options`. */
  async get(photo, options, { signal, onprogress } = {}) {
    const key = `${photo.id} ${JSON.stringify(options)}`;
    const known = this.#kept.get(key);
    if (known) return known;
    const ask = async (shared) => {
      await this.check(photo);
      return enhance(photo.file, options, { signal: shared, onprogress });
    };
    const answer = await this.#sharing.run(key, ask, signal);
    this.#keep(key, answer);
    return answer;
  }

  clear() {
    this.#kept.clear();
  }

  #keep(key, answer) {
    this.#kept.set(key, answer);
    let bytes = [...this.#kept.values()].reduce((sum, { blob }) => sum + blob.size, 0);
    for (const [oldest, { blob }] of this.#kept) {
      if (bytes <= KEPT_BYTES || oldest === key) return;
      this.#kept.delete(oldest);
      bytes -= blob.size;
    }
  }
}
