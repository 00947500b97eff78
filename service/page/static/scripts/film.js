// The filmstrip: a thumbnail of each photo with its state; the one on display is marked.

import { DONE, FAILED, WORKING } from "./photo.js";

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
    item.append(button, state, remove);
    this.#items.set(photo, { item, button, state });
    this.list.insertBefore(item, this.#items.get(next)?.item ?? null);
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
    for (const [other, { button }] of this.#items) button.setAttribute("aria-pressed", other === photo);
    this.#items.get(photo)?.button.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  focus(photo) {
    this.#items.get(photo)?.button.focus();
  }

  remove(photo) {
    this.#items.get(photo)?.item.remove();
    this.#items.delete(photo);
    this.thumbnails.remove(photo);
  }
}

function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}
