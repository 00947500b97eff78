// What a reload must not lose: photos, their settings and previews, in this browser's IndexedDB, until they are cleared.
// Where there is none (private windows of some browsers) or it is full, the page works as well, and forgets.

const NAME = "nightlift";
const PHOTOS = "photos";

export class Session {
  /** Called once when something could not be kept. */
  onfull = () => {};

  #database = null;
  #isFull = false;

  /** Open it; answers whether there is one. */
  async open() {
    try {
      const request = indexedDB.open(NAME, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(PHOTOS, { keyPath: "id" });
      this.#database = await settled(request);
    } catch {
      this.#database = null;
    }
    return this.#database !== null;
  }

  /** The records that were kept, the oldest photo first. */
  async all() {
    if (!this.#database) return [];
    const records = await settled(this.#store("readonly").getAll()).catch(() => []);
    return records.sort((one, other) => one.added - other.added);
  }

  /** Keep what is known of a photo. */
  async keep(photo) {
    const { id, file, name, added, settings, byService, answer, copy } = photo;
    const record = { id, file, name, added, settings, byService, answer, copy: copy && packed(copy, file) };
    await this.#write((store) => store.put(record));
  }

  async forget(photo) {
    await this.#write((store) => store.delete(photo.id));
  }

  async clear() {
    await this.#write((store) => store.clear());
    this.#isFull = false;
  }

  #store(mode) {
    return this.#database.transaction(PHOTOS, mode).objectStore(PHOTOS);
  }

  async #write(change) {
    if (!this.#database) return;
    try {
      await settled(change(this.#store("readwrite")));
    } catch {
      if (!this.#isFull) this.onfull();
      this.#isFull = true;
    }
  }
}

/** A copy without the photo itself, which the record has already. */
function packed({ blob, sent, size, isWhole }, file) {
  return { blob: blob === file ? null : blob, size, isWhole, isSent: sent !== file };
}

/** The copy again. */
export function unpacked(copy, file) {
  if (!copy) return null;
  const blob = copy.blob ?? file;
  return { blob, size: copy.size, isWhole: copy.isWhole, sent: copy.isSent ? blob : file };
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("blocked"));
  });
}
