// Saves finished photos as a file or a .zip, copies them to the clipboard, or shares them with other apps.

import { zip } from "./zip.js";

const JPEG = "image/jpeg";
const LARGEST_ZIP = 4e9; // bytes; the format's limit is a little higher

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
 * Finish photos one after the other, with `finish(photo)`, and save them as one .zip, or as several if they exceed its
 * limit. `onprogress` is called with the number done so far. Returns [{photo, error}] for those that failed, which do
 * not stop the others. Throws a Problem if a key is missing or refused, since all would fail then, and an AbortError.
 */
export async function saveAll(photos, finish, onprogress) {
  let files = [];
  let bytes = 0;
  let parts = 0;
  const failures = [];
  const pack = async (name) => save(new File([await zip(files)], name));
  for (const [index, photo] of photos.entries()) {
    onprogress(index);
    let file;
    try {
      file = asFile(photo, await finish(photo));
    } catch (error) {
      if (error.status === 401 || error.status === 403 || error.name === "AbortError") throw error;
      failures.push({ photo, error });
      continue;
    }
    if (files.length > 0 && bytes + file.size > LARGEST_ZIP) {
      await pack(`nightlift-${++parts}.zip`);
      [files, bytes] = [[], 0];
    }
    files.push(file);
    bytes += file.size;
  }
  if (files.length > 0) await pack(parts > 0 ? `nightlift-${parts + 1}.zip` : "nightlift.zip");
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
