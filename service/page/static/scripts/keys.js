// The dialog that asks for an API key, once for everything that waits for one.

import { useKey } from "./api.js";

const KEY_CHARACTERS = /^[!-~]+$/; // what a header can carry

export class KeyDialog {
  /** Called when a key was given, after which everything that waited is done. */
  onkey = () => {};

  #wasTried = false;
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

  /** Ask, and then do `again`, once for every `subject`. */
  ask(reason, subject, again) {
    this.#waiting.set(subject, again);
    this.problem.textContent = this.#wasTried ? reason : "";
    if (!this.dialog.open) this.dialog.showModal();
  }

  #take(event) {
    event.preventDefault();
    const key = this.input.value.trim();
    if (!KEY_CHARACTERS.test(key)) {
      this.problem.textContent = "A key has only unaccented letters, digits and punctuation, and no spaces.";
      return this.input.focus();
    }
    useKey(key);
    this.#wasTried = true;
    this.dialog.close();
    const todo = [...this.#waiting.values()];
    this.#waiting.clear();
    this.onkey();
    for (const again of todo) again();
  }
}
