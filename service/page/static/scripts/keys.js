// The dialog for the API key. It opens once, however many requests need a key.

import { hasKey, useKey } from "./api.js";

const KEY_CHARACTERS = /^[!-~]+$/; // printable ASCII, which HTTP headers can carry

export class KeyDialog {
  /** Called when a key has been entered. What waited for it has been repeated by then. */
  onkey = () => {};

  #waiting = new Map();

  constructor({ dialog, form, input, problem, decline }) {
    Object.assign(this, { dialog, input, problem });
    form.addEventListener("submit", (event) => this.#take(event));
    dialog.addEventListener("cancel", () => this.#waiting.clear());
    decline.addEventListener("click", () => {
      this.#waiting.clear();
      dialog.close();
    });
  }

  /** Ask for a key, then call `again`; only once per `subject`. `reason` is shown if an earlier key was refused. */
  ask(reason, subject, again) {
    this.#waiting.set(subject, again);
    this.problem.textContent = hasKey() ? reason : "";
    if (!this.dialog.open) this.dialog.showModal();
  }

  #take(event) {
    event.preventDefault();
    const key = this.input.value.trim();
    if (!KEY_CHARACTERS.test(key)) {
      this.problem.textContent = "A key contains only unaccented letters, digits and punctuation, without spaces.";
      return this.input.focus();
    }
    useKey(key);
    this.dialog.close();
    const todo = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const again of todo) again();
    this.onkey();
  }
}
