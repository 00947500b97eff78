// The photos that were added, and the strip of small pictures to choose from.

const THUMBNAIL_SIDE = 160;

/** A file with an identity: {id, file, name}. */
export class Photo {
  static #count = 0;

  constructor(file) {
    this.id = ++Photo.#count;
    this.file = file;
    this.name = file.name || `photo-${this.id}`;
  }
}

export class Film {
  /** Called with the photo that was chosen, or null when the last one was removed. */
  onchoose = () => {};

  photos = [];
  chosen = null;
  #painting = Promise.resolve();

  /** `list` is the <ul> that it fills. */
  constructor(list) {
    this.list = list;
    this.buttons = new Map();
  }

  /** Add files, and choose the first of them. */
  add(files) {
    const photos = files.map((file) => new Photo(file));
    for (const photo of photos) {
      this.photos.push(photo);
      this.list.append(this.#item(photo));
    }
    if (photos.length > 0) this.choose(photos[0]);
  }

  choose(photo) {
    this.chosen = photo;
    for (const [id, button] of this.buttons) button.setAttribute("aria-pressed", id === photo?.id);
    this.buttons.get(photo?.id)?.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.onchoose(photo);
  }

  remove(photo) {
    const index = this.photos.indexOf(photo);
    this.photos.splice(index, 1);
    const next = this.photos[Math.min(index, this.photos.length - 1)] ?? null;
    this.buttons.get(photo.id).parentElement.remove();
    this.buttons.delete(photo.id);
    this.buttons.get(next?.id)?.focus(); // it was on the button that is gone
    if (photo === this.chosen) this.choose(next);
  }

  #item(photo) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const canvas = document.createElement("canvas");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-label", photo.name);
    button.title = photo.name;
    button.append(canvas);
    button.addEventListener("click", () => this.choose(photo));
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "remove";
    remove.setAttribute("aria-label", `Remove ${photo.name}`);
    remove.textContent = "×";
    remove.addEventListener("click", () => this.remove(photo));
    item.append(button, remove);
    this.buttons.set(photo.id, button);
    // One after the other: decoding a hundred photos at once would fill the memory.
    this.#painting = this.#painting.then(() => paintThumbnail(canvas, photo.file));
    return item;
  }
}

/** What cannot be decoded here keeps an empty frame; its name is on the button. */
async function paintThumbnail(canvas, file) {
  try {
    const bitmap = await createImageBitmap(file);
    const scale = THUMBNAIL_SIDE / Math.min(bitmap.width, bitmap.height);
    canvas.width = canvas.height = THUMBNAIL_SIDE;
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, (THUMBNAIL_SIDE - width) / 2, (THUMBNAIL_SIDE - height) / 2, width, height);
    bitmap.close();
  } catch {
    canvas.classList.add("empty");
  }
}
