// Finished files: enhanced by the service at full size with all options, so that format, depth, colour profile and
// metadata are kept as it keeps them. The last ones are kept: what zooming in has fetched is what is downloaded.

import { enhance } from "./api.js";
import { Sharing } from "./sharing.js";

const KEPT_BYTES = 96e6;

export class Finals {
  #kept = new Map();
  #sharing = new Sharing();

  /** {blob, report} of a photo with `options`, those of the query. */
  async get(photo, options, { signal, onprogress } = {}) {
    const key = `${photo.id} ${JSON.stringify(options)}`;
    const known = this.#kept.get(key);
    if (known) return known;
    const ask = (shared) => enhance(photo.file, options, { signal: shared, onprogress });
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
