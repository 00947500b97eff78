// The filmstrip: a thumbnail of each photo with its state; the one on display is marked.

import { DONE, FAILED, WORKING } from "./photo.js";

const MARGIN = 5; // CSS pixels around the list's items, for their outlines
const STATES = { [WORKING]: "enhancing", [DONE]: "enhanced", [FAILED]: "failed" };

export class Film {
  /** Called with the photo that the user chooses, or wants to remove. */
  onchoose = () => {};
  onremove = () => {};

  #items = new Map();

  /** `list` is the <ul> to fill, `thumbnails` are those of `Thumbnails`. */
  constructor(list, thumbnails) {
    Object.assign(this, { list, thumbnails });
  }

  /** Add a photo before `next`, or at the end. */
  add(photo, next = null) {
    const item = document.createElement("li");
    const { name } = photo;
    const button = element("button", { type: "button", title: name, ariaLabel: name, ariaPressed: "false" });
    const remove = element("button", { type: "button", className: "remove", textContent: "×" });
    const state = element("span", { className: "state" });
    remove.setAttribute("aria-label", `Remove ${photo.name}`);
    state.id = `state-${photo.id}`;
    button.setAttribute("aria-describedby", state.id);
    button.append(this.thumbnails.add(photo));
    button.addEventListener("click", () => this.onchoose(photo));
    remove.addEventListener("click", () => this.onremove(photo));
    item.addEventListener("keydown", (event) => this.#press(event, photo));
    item.append(button, state, remove);
    this.list.insertBefore(item, this.#items.get(next)?.item ?? null);
    this.#items.set(photo, { item, button, remove, state });
    this.#reach(photo, false);
    this.update(photo);
  }

  update(photo) {
    const { item, state } = this.#items.get(photo) ?? {};
    if (!item) return;
    item.dataset.state = photo.state;
    state.textContent = STATES[photo.state] ?? "waiting";
    this.thumbnails.update(photo);
  }

  choose(photo) {
    for (const [other, { button }] of this.#items) {
      button.setAttribute("aria-pressed", other === photo);
      this.#reach(other, other === photo);
    }
    const { item } = this.#items.get(photo) ?? {};
    if (!item) return;
    // scrollIntoView would scroll the page, too.
    const [inner, outer] = [item, this.list].map((element) => element.getBoundingClientRect());
    const [left, right] = [inner.left - outer.left - MARGIN, inner.right - outer.right + MARGIN];
    this.list.scrollLeft += Math.min(0, left) + Math.max(0, right);
  }

  focus(photo) {
    this.#items.get(photo)?.button.focus();
  }

  /** Remove a photo; if it has the keyboard focus, that goes to `next`. */
  remove(photo, next = null) {
    const { item } = this.#items.get(photo);
    const hadFocus = item.contains(document.activeElement);
    item.remove();
    this.#items.delete(photo);
    this.thumbnails.remove(photo);
    if (hadFocus) this.focus(next);
  }

  /** Let the Tab key reach a photo or pass it over. With hundreds of photos, it would take long to get past them. */
  #reach(photo, isReached) {
    const { button, remove } = this.#items.get(photo);
    button.tabIndex = remove.tabIndex = isReached ? 0 : -1;
  }

  /** Arrows, Home and End choose another photo, Delete removes the one that has the focus. */
  #press(event, photo) {
    if (event.shiftKey || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Delete") return this.onremove(photo);
    const { item } = this.#items.get(photo);
    const others = {
      ArrowLeft: item.previousElementSibling,
      ArrowRight: item.nextElementSibling,
      Home: this.list.firstElementChild,
      End: this.list.lastElementChild,
    };
    const button = others[event.key]?.querySelector("button");
    if (!button) return;
    event.preventDefault();
    button.focus();
    button.click();
  }
}

function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}
