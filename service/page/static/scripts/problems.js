// The box that says what went wrong: in plain words, until it is dismissed or has passed.

import { explain } from "./explain.js";

export class ProblemBox {
  /** What it says is about this, whatever it is; null: about nothing in particular. */
  subject = null;

  #again = null;

  /** `box` holds elements with the classes `title`, `detail`, `again` and `dismiss`. */
  constructor(box) {
    const part = (name) => box.querySelector(`.${name}`);
    Object.assign(this, { box, title: part("title"), detail: part("detail"), again: part("again") });
    this.again.addEventListener("click", () => {
      const again = this.#again;
      this.hide();
      again?.();
    });
    part("dismiss").addEventListener("click", () => this.hide());
  }

  get isOpen() {
    return !this.box.hidden;
  }

  /** Say what went wrong with `name`, if that is given; `again` is offered where it can help. */
  show(error, { again = null, subject = null, name = "" } = {}) {
    const { title, detail, canRetry } = explain(error);
    this.subject = subject;
    this.#again = canRetry ? again : null;
    this.title.textContent = title;
    this.detail.textContent = [name, detail].filter(Boolean).join(": ");
    this.again.hidden = !this.#again;
    this.box.hidden = false;
    this.box.scrollIntoView({ block: "nearest" });
  }

  hide() {
    this.box.hidden = true;
    this.subject = null;
    this.#again = null;
  }

  /** Hide it if it is about `subject`. */
  settle(subject) {
    if (this.isOpen && this.subject === subject) this.hide();
  }
}
