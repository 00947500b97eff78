// Shares asynchronous work among callers: work under the same key runs only once at a time, and is aborted when all
// callers have given up.

export class Sharing {
  #pending = new Map();

  /** The result of `start(signal)`, which is called unless work for the same `key` is running. `signal` gives up. */
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
