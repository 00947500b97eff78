// Keeps photos, their settings and previews in IndexedDB, so that they survive a reload, until they are cleared. There
// are three stores, so that moving a slider does not write the photo again. If IndexedDB is full or not available (as
// in private windows of some browsers), the page works without it.

const NAME = "nightlift";
const FILES = "files"; // {id, file, name, added}
const PREVIEWS = "previews"; // {id, byService, copy, answer, key}
const SETTINGS = "settings"; // {id, settings}
const STORES = [FILES, PREVIEWS, SETTINGS];
const ALL = "all"; // instead of an id

export class Session {
  /** Called the first time that something cannot be stored. */
  onfull = () => {};
  /** Called when another tab has removed a photo, with its id, or all photos. */
  onforgotten = (id) => {};
  oncleared = () => {};

  #database = opened(); // a promise of it, or of null
  #tabs = new BroadcastChannel(NAME);
  #isFull = false;

  constructor() {
    this.#tabs.onmessage = ({ data: id }) => (id === ALL ? this.oncleared() : this.onforgotten(id));
  }

  /** One record per photo, oldest first: {id, file, name, added, byService, copy, answer, key, settings}. */
  async all() {
    const database = await this.#database;
    if (!database) return [];
    const transaction = database.transaction(STORES, "readonly");
    let lists;
    try {
      lists = await Promise.all(STORES.map((store) => settled(transaction.objectStore(store).getAll())));
    } catch {
      return []; // the browser cannot read its own files, as after a disk failure
    }
    const [files, previews, settings] = lists.map((records) => new Map(records.map((record) => [record.id, record])));
    const joined = [...files.values()].map((record) => {
      const { copy, ...preview } = previews.get(record.id) ?? {};
      return { ...record, ...preview, ...settings.get(record.id), copy: unpacked(copy, record.file) };
    });
    return joined.sort((one, other) => one.added - other.added);
  }

  /** Store a photo's file and settings. */
  async keepPhoto(photo) {
    const { id, file, name, added } = photo;
    await this.#write([FILES], (store) => store(FILES).put({ id, file, name, added }));
    await this.keepSettings(photo);
  }

  /** Store a photo's copy and answer; `key` is that of the answer in the cache of previews. */
  async keepPreview({ id, file, byService, copy, answer }, key) {
    const record = { id, byService, copy: packed(copy, file), answer, key };
    await this.#add(PREVIEWS, record);
  }

  async keepSettings({ id, settings }) {
    await this.#add(SETTINGS, { id, settings });
  }

  async forget({ id }) {
    await this.#write(STORES, (store) => STORES.forEach((name) => store(name).delete(id)));
    this.#tabs.postMessage(id);
  }

  async clear() {
    await this.#write(STORES, (store) => STORES.forEach((name) => store(name).clear()));
    this.#isFull = false;
    this.#tabs.postMessage(ALL);
  }

  /** Store what belongs to a photo, unless another tab has removed that. */
  async #add(name, record) {
    await this.#write([FILES, name], (store) => {
      store(FILES).getKey(record.id).onsuccess = ({ target }) => target.result && store(name).put(record);
    });
  }

  async #write(stores, change) {
    const database = await this.#database;
    if (!database) return;
    try {
      const transaction = database.transaction(stores, "readwrite");
      change((name) => transaction.objectStore(name));
      await completed(transaction);
    } catch {
      if (!this.#isFull) this.onfull();
      this.#isFull = true;
    }
  }
}

/** A photo's copy without the original file, which is stored separately. */
function packed({ blob, sent, size, isWhole }, file) {
  return { blob: blob === file ? null : blob, size, isWhole, isSent: sent !== file };
}

/** The inverse of `packed`. */
function unpacked(copy, file) {
  if (!copy) return null;
  const blob = copy.blob ?? file;
  return { blob, size: copy.size, isWhole: copy.isWhole, sent: copy.isSent ? blob : file };
}

/** The database, or null if the browser has none. */
async function opened() {
  try {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      for (const store of STORES) request.result.createObjectStore(store, { keyPath: "id" });
    };
    return await settled(request);
  } catch {
    return null;
  }
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function completed(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}
