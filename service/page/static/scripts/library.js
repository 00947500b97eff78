// The photos of this session: adding, choosing, adjusting and removing them, undo, and restoring them after a reload.

import { History } from "./history.js";
import { DONE, FAILED, Photo } from "./photo.js";
import { same } from "./settings.js";

export class Library {
  /** Called with the photo that has been chosen, or null if there are no photos. */
  onchoose = () => {};
  /** Called with a photo whose state has changed. */
  onstate = () => {};
  /** Called with a photo whose settings have changed from `previous`; `asks`: a new answer has been requested. */
  onsettings = (photo, asks, previous) => {};
  /** Returns settings without what the service does not offer. */
  usable = (settings) => settings;

  photos = [];
  chosen = null;
  history = new History();
  #committed = new Map();

  constructor({ film, queue, previews, session }) {
    Object.assign(this, { film, queue, previews, session });
    film.onchoose = (photo) => this.choose(photo);
    film.onremove = (photo) => this.remove(photo);
    queue.onchange = (photo) => {
      film.update(photo);
      if (photo.state === DONE) this.#keepPreview(photo);
      this.onstate(photo);
    };
    session.onforgotten = (id) => this.#drop(this.photos.find((photo) => photo.id === id));
  }

  /** Add files, and choose the first of them. */
  add(files) {
    const photos = files.map((file, index) => new Photo(file, { added: Date.now() + index / 1000 }));
    for (const photo of photos) {
      this.#insert(photo);
      this.session.keepPhoto(photo);
      this.queue.add(photo);
    }
    if (photos.length > 0) this.choose(photos[0]);
  }

  /** Restore the photos of an earlier visit. */
  async restore() {
    for (const record of await this.session.all()) {
      if (this.photos.some(({ id }) => id === record.id)) continue; // added and stored a moment ago
      const { file, name, copy = null, answer = null, byService = false, key = "" } = record;
      const photo = new Photo(file, record);
      photo.settings = this.usable(photo.settings);
      Object.assign(photo, { name, copy, answer, byService });
      this.#insert(photo);
      // The page may have been left before a change of settings was answered.
      if (answer && photo.copy && key === this.previews.key(photo)) {
        this.previews.keep(key, answer);
        photo.state = DONE;
        this.film.update(photo);
      } else this.queue.add(photo);
    }
    if (!this.chosen && this.photos.length > 0) this.choose(this.photos[0]);
  }

  choose(photo) {
    this.chosen = photo;
    this.film.choose(photo);
    if (photo) this.queue.hurry(photo);
    this.onchoose(photo);
  }

  /** Choose the photo `step` places further on, if there is one. */
  next(step) {
    const index = this.photos.indexOf(this.chosen) + step;
    if (this.photos[index]) this.choose(this.photos[index]);
  }

  /** Retry failed photos for which `is(photo)` is true. */
  retry(is) {
    const failed = this.photos.filter((photo) => photo.state === FAILED && is(photo));
    for (const photo of failed) this.queue.add(photo, photo === this.chosen);
  }

  /** Use settings while a slider moves, without recording them for undo. */
  preview(settings) {
    this.chosen.settings = settings;
    this.onsettings(this.chosen, false, this.#committed.get(this.chosen));
  }

  /** Change settings that the service no longer offers, without recording it for undo. */
  correct() {
    for (const photo of this.photos) {
      const settings = this.usable(photo.settings);
      if (!same(settings, photo.settings)) this.#commit(photo, settings);
    }
  }

  /** Set the settings of photos, as one step for undo. */
  set(photos, settings) {
    const changes = photos
      .map((photo) => ({ photo, before: this.#committed.get(photo), after: settings }))
      .filter(({ before, after }) => !same(before, after));
    if (changes.length === 0) return;
    const set = (which) => {
      const present = changes.filter(({ photo }) => this.photos.includes(photo));
      for (const change of present) this.#commit(change.photo, change[which]);
      const isSeen = present.some(({ photo }) => photo === this.chosen);
      if (!isSeen && present.length > 0) this.choose(present[0].photo);
    };
    set("after");
    const [{ photo, before }] = changes;
    const names = Object.keys(before).filter((name) => before[name] !== settings[name]);
    const isOne = changes.length === 1 && names.length === 1;
    this.history.add({ undo: () => set("before"), redo: () => set("after") }, isOne ? `${names} of ${photo.id}` : "");
  }

  remove(photo) {
    const index = this.photos.indexOf(photo);
    this.#take(photo);
    this.history.add({
      undo: () => {
        this.#insert(photo, this.photos[index] ?? null);
        this.session.keepPhoto(photo);
        if (photo.state === DONE) this.#keepPreview(photo);
        else this.queue.add(photo);
        this.choose(photo);
      },
      redo: () => this.#take(photo),
    });
  }

  /** Remove all photos and the history, but not what is stored. This cannot be undone. */
  clear() {
    this.queue.clear();
    for (const photo of this.photos) {
      this.film.remove(photo);
      this.previews.forget(photo);
    }
    this.photos = [];
    this.#committed.clear();
    this.history.clear();
    this.choose(null);
  }

  #insert(photo, next = null) {
    this.photos.splice(next ? this.photos.indexOf(next) : this.photos.length, 0, photo);
    this.#committed.set(photo, photo.settings);
    this.film.add(photo, next);
  }

  #take(photo) {
    this.#drop(photo);
    this.session.forget(photo);
  }

  /** Remove a photo, if it is there, but not what is stored. */
  #drop(photo) {
    const index = this.photos.indexOf(photo);
    if (index < 0) return;
    this.photos.splice(index, 1);
    this.queue.remove(photo);
    const next = this.photos[Math.min(index, this.photos.length - 1)] ?? null;
    this.film.remove(photo, next);
    if (photo === this.chosen) this.choose(next);
  }

  #keepPreview(photo) {
    this.session.keepPreview(photo, this.previews.key(photo));
  }

  #commit(photo, settings) {
    const previous = this.#committed.get(photo);
    const [before, after] = [previous, settings].map((one) => this.previews.wanted(photo, one));
    const asks = JSON.stringify(before) !== JSON.stringify(after);
    this.#committed.set(photo, settings);
    photo.settings = settings;
    if (asks) this.queue.add(photo, photo === this.chosen);
    this.onsettings(photo, asks, previous);
    this.session.keepSettings(photo);
  }
}
