// Undo and redo: a list of changes, each {undo, redo}, two functions.

const KEPT = 200;

export class History {
  /** Called when something can, or can no longer, be undone or redone. */
  onchange = () => {};

  #done = [];
  #undone = [];

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  /** Remember a change that has been made. */
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
