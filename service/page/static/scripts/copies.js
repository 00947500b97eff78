// Copies of photos at screen size: they are shown as the original, and sent to the service for previews.
//
// If the browser can decode a photo, it is shrunk here, and only the copy is sent: a few hundred kilobytes, however
// large the photo. A file of up to AS_IT_IS bytes is sent unchanged, and the service shrinks the result: this costs no
// more, and the preview is exact. If the browser cannot decode a photo (TIFF, HEIC, raw), the service makes the copy.

import { enhance, Problem } from "./api.js";
import { decode, encode } from "./pixels.js";

const AS_IT_IS = 1e6; // bytes
const COPY_BYTES = 8e5; // upload takes two seconds at 3 Mbit/s
const QUALITIES = [0.97, 0.94, 0.9, 0.85]; // the first that fits is used: compression would destroy shadow detail
const SHOWN_QUALITY = 0.92; // of copies that are shown but not sent
const DECODED_QUALITY = 97; // of copies made by the service
const WITH_ALPHA = ["image/png", "image/webp", "image/avif", "image/gif"]; // types that may have it

/**
 * Make a copy of a photo with a long side of at most `side` pixels. Returns {blob, size, sent, isWhole}: a file that
 * the browser can decode, the photo's size {width, height} in pixels, the file to send for a preview, and whether that
 * is the photo itself. Throws a Problem.
 */
export async function makeCopy(file, side, { signal, onprogress, limits, byService = false }) {
  const local = byService ? null : await shrunk(file, side, signal);
  if (local) {
    checkSize(local.size, limits);
    return local;
  }
  const isLight = file.size <= AS_IT_IS;
  const format = isLight ? { format: "png" } : { format: "webp", quality: DECODED_QUALITY };
  const { blob, report } = await enhance(file, { strength: 0, max_side: side, ...format }, { signal, onprogress });
  return { blob, size: report.size, sent: isLight ? file : blob, isWhole: isLight };
}

/** A copy made by the browser; null if it cannot decode the file. */
async function shrunk(file, side, signal) {
  let decoded;
  try {
    decoded = await decode(file, side);
  } catch {
    return null;
  }
  const { bitmap, size } = decoded;
  if (signal?.aborted) {
    bitmap.close();
    throw signal.reason;
  }
  const isSmall = bitmap.width === size.width && bitmap.height === size.height;
  const isLight = file.size <= AS_IT_IS;
  const type = WITH_ALPHA.includes(file.type) ? "image/webp" : "image/jpeg";
  const written = () => (isLight ? encode(bitmap, type, SHOWN_QUALITY) : lightest(bitmap, type));
  const blob = isSmall && isLight ? file : await written();
  bitmap.close();
  return { blob, size, sent: isLight ? file : blob, isWhole: isLight };
}

/** The best quality that fits into COPY_BYTES. Browsers that cannot write WebP give PNG, whatever the quality. */
async function lightest(bitmap, type) {
  let blob = null;
  for (const quality of QUALITIES) {
    blob = await encode(bitmap, type, quality);
    if (blob.size <= COPY_BYTES || blob.type !== type) break;
  }
  return blob;
}

/** Refuse, before anything is sent, sizes that the service accepts with no model. */
function checkSize({ width, height }, { max_pixels, min_side, max_aspect_ratio }) {
  const shape = `This photo has ${width} × ${height} pixels.`;
  const refuse = (detail) => {
    throw new Problem(422, { title: "This photo cannot be enhanced here", detail }, true);
  };
  const most = (max_pixels / 1e6).toFixed(0);
  if (width * height > max_pixels) refuse(`${shape} This server accepts up to ${most} megapixels.`);
  if (Math.min(width, height) < min_side) refuse(`${shape} Each side must have at least ${min_side}.`);
  const isLong = Math.max(width, height) > max_aspect_ratio * Math.min(width, height);
  if (isLong) refuse(`${shape} The long side may be at most ${max_aspect_ratio} times the short one.`);
}
