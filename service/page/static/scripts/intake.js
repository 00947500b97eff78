// Photos can be chosen, dropped anywhere on the page (folders, too), pasted, or taken with a phone's camera.

import { Problem } from "./api.js";

const MOST = 500; // photos added at once

/** The endings of the files that the service reads, as in service/pictures/_formats.py. */
const ENDINGS = [
  ...["jpg", "jpeg", "jpe", "mpo", "png", "webp", "avif", "tif", "tiff", "bmp", "gif", "heic", "heif", "hif"],
  ...["dng", "cr2", "cr3", "nef", "nrw", "arw", "raf", "rw2", "orf", "pef", "srw", "3fr", "iiq", "mrw", "x3f"],
];
const PHOTOS = new RegExp(`\\.(${ENDINGS.join("|")})$`, "i");

/**
 * Call `take(files, wereMore)` with each list of files, cut to MOST, that the user adds, and `refuse` with a Problem if
 * there are no photos, or they cannot be read. `inputs` are file inputs.
 */
export function watchForFiles(inputs, take, refuse) {
  const give = (files) => files.length > 0 && take(files.slice(0, MOST), files.length > MOST);
  for (const input of inputs) {
    if (input.multiple) input.accept = ["image/*", ...ENDINGS.map((ending) => `.${ending}`)].join();
    input.addEventListener("change", () => {
      const files = [...input.files];
      const photos = input.webkitdirectory ? files.filter(isInFolder).sort(byPath) : files;
      if (files.length > 0 && photos.length === 0) refuse(noPhotos());
      give(photos);
      input.value = ""; // so that the same file can be chosen again
    });
  }
  document.addEventListener("paste", (event) => give([...(event.clipboardData?.files ?? [])]));
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return; // but text or a link
    event.preventDefault();
    document.body.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("over");
  });
  document.addEventListener("drop", async (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.remove("over");
    try {
      give(await droppedFiles(event.dataTransfer));
    } catch (error) {
      refuse(error instanceof Problem ? error : unreadable());
    }
  });
}

/** The files that were dropped; those in folders are filtered by their names and sorted. Throws an error. */
async function droppedFiles(transfer) {
  // The entries are no longer available after the first await.
  const entries = [...(transfer?.items ?? [])].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some(({ isDirectory }) => isDirectory)) return [...(transfer?.files ?? [])];
  const files = [];
  for (const entry of entries) files.push(...(await (entry.isDirectory ? inFolder(entry) : fileOf(entry))));
  if (files.length === 0) throw noPhotos();
  return files;
}

function noPhotos() {
  const detail = "Photos are recognised by the ending of their names, such as .jpg, .png, .heic or .dng.";
  return new Problem(415, { title: "There are no photos in this folder", detail }, true);
}

function unreadable() {
  const detail = "It may have been moved or removed, or the browser may not open it. Choose the photos themselves.";
  return new Problem(400, { title: "This folder cannot be read", detail }, true);
}

async function inFolder(folder) {
  const reader = folder.createReader();
  const entries = [];
  // A reader returns some entries at a time, and an empty list at the end.
  for (let some = null; some?.length !== 0 && entries.length <= MOST; entries.push(...some)) {
    some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
  }
  const files = [];
  for (const entry of entries.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }))) {
    if (files.length > MOST) break;
    if (entry.name.startsWith(".")) continue; // hidden, such as the thumbnails that other programs keep
    if (entry.isDirectory) files.push(...(await inFolder(entry).catch(() => [])));
    else if (PHOTOS.test(entry.name)) files.push(...(await fileOf(entry)));
  }
  return files;
}

/** A list of the file; it is empty if that cannot be read, such as a broken link. */
function fileOf(entry) {
  return new Promise((resolve) => entry.file((file) => resolve([file]), () => resolve([])));
}

/** Whether a file of a chosen folder is a photo; hidden files and folders in it are left out. */
function isInFolder(file) {
  return PHOTOS.test(file.name) && !file.webkitRelativePath.includes("/.");
}

function byPath(one, other) {
  return one.webkitRelativePath.localeCompare(other.webkitRelativePath, undefined, { numeric: true });
}
