// Work that several wait for: what is under way already is not begun again, and goes on until the last gives up.

export class Sharing {
  #pending = new Map();

  /** The result of `start(signal)`, which is called unless it is under way for the same `key`. */
  async run(key, start, signal) {
    let work = this.#pending.get(key);
    if (!work) {
      const controller = new AbortController();
      work = { controller, waiting: 0, result: start(controller.signal) };
      this.#pending.set(key, work);
      const forget = () => this.#pending.get(key) === work && this.#pending.delete(key);
      work.result.then(forget, forget);
    }
    work.waiting++;
    const giveUp = () => {
      if (--work.waiting > 0) return;
      work.controller.abort();
      this.#pending.delete(key); // later callers start a new request
    };
    return new Promise((resolve, reject) => {
      const abort = () => {
        giveUp();
        reject(signal.reason);
      };
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort);
      const end = (settle) => (value) => {
        signal?.removeEventListener("abort", abort);
        settle(value);
      };
      work.result.then(end(resolve), end(reject));
    });
  }
}
