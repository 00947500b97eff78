// The error box. It stays open until it is dismissed or the problem is solved.

import { explain } from "./explain.js";

export class ProblemBox {
  /** Called when the box is hidden while it has the keyboard focus, which has to go elsewhere. */
  onleave = () => {};
  /** What the shown error is about, usually a photo; null for errors about nothing in particular. */
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

  /**
   * Show an error; `name` is that of the photo, if any. If a retry may help, a button for `again` is offered, with a
   * `label`.
   */
  show(error, { again = null, label = "Try again", subject = null, name = "" } = {}) {
    const { title, detail, canRetry } = explain(error);
    this.subject = subject;
    this.#again = canRetry ? again : null;
    this.title.textContent = title;
    this.detail.textContent = [name, detail].filter(Boolean).join(": ");
    this.again.hidden = !this.#again;
    this.again.textContent = label;
    this.box.hidden = false;
    this.box.scrollIntoView({ block: "nearest" });
  }

  hide() {
    const hadFocus = this.box.contains(document.activeElement);
    this.box.hidden = true;
    this.subject = null;
    this.#again = null;
    if (hadFocus) this.onleave();
  }

  /** Hide the box if it is about `subject`. */
  settle(subject) {
    if (this.isOpen && this.subject === subject) this.hide();
  }
}
