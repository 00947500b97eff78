// Finished photos as files, one or many in a .zip, to the clipboard, or to another app.

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
 * Finish photos one after the other, by `finish(photo)`, and hand them over in one .zip. `onprogress` is called with
 * the number done. Answers [{photo, error}] for those that failed; they do not stop the others. Throws where a key is
 * asked for, which all would fail for, and where there is too much for one .zip.
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

/** Whether this browser, on this connection, lets pages write pictures to the clipboard. */
export function canCopy() {
  return Boolean(navigator.clipboard?.write) && typeof ClipboardItem !== "undefined";
}

/** Put a finished photo on the clipboard; as PNG, which is what all programs take. */
export function copy(finishing) {
  // A promise, so that the click still counts when the file is there.
  return navigator.clipboard.write([new ClipboardItem({ "image/png": finishing.then(({ blob }) => asPng(blob)) })]);
}

async function asPng(blob) {
  const bitmap = await createImageBitmap(blob);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas.convertToBlob({ type: "image/png" });
}

/** Whether this device can hand files to other apps. */
export function canShare() {
  const probe = new File([new Uint8Array(1)], "photo.jpg", { type: JPEG });
  return Boolean(navigator.canShare?.({ files: [probe] }));
}

/** Hand a file to another app; answers whether it was. Throws a NotAllowedError where the click is too long ago. */
export async function share(file) {
  try {
    await navigator.share({ files: [file] });
    return true;
  } catch (error) {
    if (error.name === "AbortError") return false;
    throw error;
  }
}
