// Saves finished photos as a file or a .zip, copies them to the clipboard, or shares them with other apps.

import { zip } from "./zip.js";

const JPEG = "image/jpeg";

/** A finished photo as a File, named after the original. */
export function asFile(photo, { blob }) {
  const ending = blob.type === JPEG ? "jpg" : blob.type.split("/")[1];
  return new File([blob], `${photo.name.replace(/\.[^.]*$/, "")}-bright.${ending}`, { type: blob.type });
}

export function save(file) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * Finish photos one after the other, with `finish(photo)`, and save them as one .zip. `onprogress` is called with the
 * number done so far. Returns [{photo, error}] for those that failed, which do not stop the others. Throws a Problem if
 * a key is missing, since all would fail then, and a RangeError if the files are too much for one .zip.
 */
export async function saveAll(photos, finish, onprogress) {
  const files = [];
  const failures = [];
  for (const [index, photo] of photos.entries()) {
    onprogress(index);
    try {
      const blob = asFile(photo, await finish(photo));
      files.push({ name: blob.name, blob });
    } catch (error) {
      if (error.status === 401) throw error;
      failures.push({ photo, error });
    }
  }
  if (files.length > 0) save(new File([await zip(files)], "nightlift.zip"));
  return failures;
}

/** Whether this page may write pictures to the clipboard; browsers allow it over HTTPS only. */
export function canCopy() {
  return Boolean(navigator.clipboard?.write) && typeof ClipboardItem !== "undefined";
}

/** Put a finished photo on the clipboard, as PNG, which all programs accept. `finishing` is a promise of {blob}. */
export async function copy(finishing) {
  try {
    // The promise is passed on because write() must be called right after the click, before the file is ready.
    const png = finishing.then(({ blob }) => asPng(blob));
    await navigator.clipboard.write([new ClipboardItem({ "image/png": png })]);
  } catch (error) {
    await finishing; // if that failed, its error says more than the clipboard's
    throw error;
  }
}

async function asPng(blob) {
  const bitmap = await createImageBitmap(blob);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas.convertToBlob({ type: "image/png" });
}

/** Whether this device can share files with other apps. */
export function canShare() {
  const probe = new File([new Uint8Array(1)], "photo.jpg", { type: JPEG });
  return Boolean(navigator.canShare?.({ files: [probe] }));
}

/** Share a file; returns false if the user cancels. Throws a NotAllowedError if the click was too long ago. */
export async function share(file) {
  try {
    await navigator.share({ files: [file] });
    return true;
  } catch (error) {
    if (error.name === "AbortError") return false;
    throw error;
  }
}
