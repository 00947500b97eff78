// Keyboard shortcuts. They work anywhere on the page, except in controls that need the keys themselves and in dialogs.

import { recall, remember } from "./memory.js";

const TYPING = "input:not([type=range], [type=checkbox], [type=radio], [type=file]), select, textarea";

export class Shortcuts {
  /** Called with true when the key for the original is pressed, and with false when it is released. */
  onoriginal = () => {};

  /** `keys`: {key: action}; `commands`: the same for keys pressed together with Ctrl or Command. */
  constructor(keys, commands) {
    Object.assign(this, { keys, commands });
    document.addEventListener("keydown", (event) => this.#press(event));
    document.addEventListener("keyup", (event) => event.key.toLowerCase() === "o" && this.onoriginal(false));
    window.addEventListener("blur", () => this.onoriginal(false));
  }

  /** Whether single-key shortcuts are on. Users of speech input must be able to turn them off (WCAG 2.1.4). */
  get areOn() {
    return recall("shortcuts") !== false;
  }

  set areOn(wanted) {
    remember("shortcuts", wanted);
  }

  #press(event) {
    if (event.altKey || event.target.closest(TYPING) || document.querySelector("dialog[open]")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.metaKey) return this.#do(this.commands[event.shiftKey ? `Shift+${key}` : key], event);
    if (!this.areOn) return;
    // Arrow keys alone are left to the focused control; with Shift they move the photo.
    if (key.startsWith("Arrow")) return event.shiftKey && this.#do(this.keys[`Shift+${key}`], event);
    if (key === "o" && !event.repeat) return this.onoriginal(true);
    this.#do(this.keys[key], event);
  }

  #do(action, event) {
    if (!action) return;
    event.preventDefault();
    action();
  }
}
