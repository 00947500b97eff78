// Finished photos as files: computed by the service anew with all options, so that format, depth, colour profile and
// metadata are kept as it keeps them.

import { enhance } from "./api.js";
import { zip } from "./zip.js";

const JPEG = "image/jpeg";

/** Enhance one photo with `options` and hand it over. */
export async function downloadOne(photo, options) {
  const { name, blob } = await finished(photo, options);
  save(name, blob);
}

/**
 * Enhance photos one after the other and hand them over in one .zip. `onprogress` is called with the number done.
 * Answers [{photo, error}] for those that failed; they do not stop the others. Throws where a key is asked for, which
 * all would fail for, and where there is too much for one .zip.
 */
export async function downloadAll(photos, options, onprogress) {
  const files = [];
  const failures = [];
  for (const [index, photo] of photos.entries()) {
    onprogress(index);
    try {
      files.push(await finished(photo, options));
    } catch (error) {
      if (error.status === 401) throw error;
      failures.push({ photo, error });
    }
  }
  if (files.length > 0) save("nightlift.zip", await zip(files));
  return failures;
}

async function finished(photo, options) {
  const { blob } = await enhance(photo.file, options);
  const ending = blob.type === JPEG ? "jpg" : blob.type.split("/")[1];
  return { name: `${photo.name.replace(/\.[^.]*$/, "")}-bright.${ending}`, blob };
}

function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
