// Files to bitmaps and back, and bitmaps to samples of their pixels.

const MOST_PIXELS = 36e6; // two of these and their small copies fill 400 MB of the GPU

/**
 * The pixels of a file, upright and in sRGB: {bitmap, size}, with the size in pixels of the file. A picture with a side
 * longer than `longestSide`, or more than MOST_PIXELS, comes as a smaller bitmap. Throws where the browser cannot
 * decode it.
 */
export async function decode(blob, longestSide) {
  const bitmap = await createImageBitmap(blob, { premultiplyAlpha: "none" });
  const { width, height } = bitmap;
  const scale = Math.min(1, longestSide / Math.max(width, height), Math.sqrt(MOST_PIXELS / (width * height)));
  return { bitmap: scale < 1 ? await shrink(bitmap, scale) : bitmap, size: { width, height } };
}

/** A bitmap as a file of `type` and `quality` (0 to 1), or of another type where the browser cannot write that one. */
export function encode(bitmap, type, quality) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas.convertToBlob({ type, quality });
}

/**
 * ImageData of every so many-th pixel of a bitmap, so that the long side has at most `side`; of exactly the size of
 * `like`, another ImageData, where that is given. Pixels are picked: a histogram of averages would be too narrow.
 */
export function sample(bitmap, side, like = null) {
  return drawn(bitmap, side, like, { imageSmoothingEnabled: false });
}

/** The same, with every pixel the mean of those that it stands for. */
export function small(bitmap, side, like = null) {
  return drawn(bitmap, side, like, { imageSmoothingQuality: "high" });
}

function drawn(bitmap, side, like, smoothing) {
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  const width = like?.width ?? Math.max(1, Math.round(bitmap.width * scale));
  const height = like?.height ?? Math.max(1, Math.round(bitmap.height * scale));
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  Object.assign(context, smoothing);
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

async function shrink(bitmap, scale) {
  const small = await createImageBitmap(bitmap, {
    resizeWidth: Math.max(1, Math.round(bitmap.width * scale)),
    resizeHeight: Math.max(1, Math.round(bitmap.height * scale)),
    resizeQuality: "high",
    premultiplyAlpha: "none",
  });
  bitmap.close();
  return small;
}
