// Undo and redo. A change is {undo, redo}, two functions.

const KEPT = 200;
const TOGETHER_MILLISECONDS = 1000; // between changes of the same thing, such as key presses on a slider, in one step

export class History {
  /** Called when `canUndo` or `canRedo` may have changed. */
  onchange = () => {};

  #done = [];
  #undone = [];
  #what = "";
  #when = 0;

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  /** Record a change that has been made. Changes of the same thing, `what`, in quick succession become one. */
  add(change, what = "") {
    const now = performance.now();
    const isSame = what && what === this.#what && now - this.#when < TOGETHER_MILLISECONDS;
    if (isSame) this.#done.at(-1).redo = change.redo;
    else this.#done.push(change);
    if (this.#done.length > KEPT) this.#done.shift();
    [this.#what, this.#when] = [what, now];
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
    this.#what = "";
    this.onchange();
  }

  #move(from, to, what) {
    const change = from.pop();
    if (!change) return;
    this.#what = "";
    to.push(change);
    change[what]();
    this.onchange();
  }
}
