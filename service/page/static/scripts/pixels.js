// Files to bitmaps. What the browser cannot decode (TIFF, HEIC, raw), the service does.

import { enhance } from "./api.js";

const MOST_PIXELS = 36e6; // two of these and their small copies fill 400 MB of the GPU

/**
 * The pixels of a file, upright: {bitmap, size}, with the size in pixels of the file. A picture that is too large for
 * the screen's machinery (`longestSide` in pixels, or MOST_PIXELS) comes as a smaller bitmap.
 */
export async function decode(blob, longestSide) {
  const bitmap = await createImageBitmap(blob, { premultiplyAlpha: "none" });
  const { width, height } = bitmap;
  const scale = Math.min(1, longestSide / Math.max(width, height), Math.sqrt(MOST_PIXELS / (width * height)));
  return { bitmap: scale < 1 ? await shrink(bitmap, scale) : bitmap, size: { width, height } };
}

/** The same of a photo as it came, by the service where the browser does not know its format. */
export async function decodePhoto(file, longestSide, signal) {
  try {
    return await decode(file, longestSide);
  } catch {
    return decodePhotoByService(file, longestSide, signal);
  }
}

/** The same by the service: strength 0 leaves every pixel as it is. */
export async function decodePhotoByService(file, longestSide, signal) {
  const { blob } = await enhance(file, { strength: 0, format: "png" }, signal);
  return decode(blob, longestSide);
}

/** ImageData of a bitmap, or of every so many-th of its pixels, so that the long side has at most `side`. */
export function sample(bitmap, side) {
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  const canvas = new OffscreenCanvas(
    Math.max(1, Math.round(bitmap.width * scale)),
    Math.max(1, Math.round(bitmap.height * scale)),
  );
  const context = canvas.getContext("2d", { willReadFrequently: true });
  // Pixels are picked, not averaged: a histogram of averages would be too narrow.
  context.imageSmoothingEnabled = false;
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

async function shrink(bitmap, scale) {
  const small = await createImageBitmap(bitmap, {
    resizeWidth: Math.max(1, Math.floor(bitmap.width * scale)),
    resizeHeight: Math.max(1, Math.floor(bitmap.height * scale)),
    resizeQuality: "medium",
    premultiplyAlpha: "none",
  });
  bitmap.close();
  return small;
}
