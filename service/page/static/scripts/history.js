// Undo and redo. A change is {undo, redo}, two functions.

const KEPT = 200;

export class History {
  /** Called when `canUndo` or `canRedo` may have changed. */
  onchange = () => {};

  #done = [];
  #undone = [];

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  /** Record a change that has been made. */
  add(change) {
    this.#done.push(change);
    if (this.#done.length > KEPT) this.#done.shift();
    this.#undone = [];
    this.onchange();
  }

  undo() {
    this.#move(this.#done, this.#undone, "undo");
  }

  redo() {
    this.#move(this.#undone, this.#done, "redo");
  }

  clear() {
    this.#done = [];
    this.#undone = [];
    this.onchange();
  }

  #move(from, to, what) {
    const change = from.pop();
    if (!change) return;
    to.push(change);
    change[what]();
    this.onchange();
  }
}
