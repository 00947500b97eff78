// Conversion of files to bitmaps and back, and of bitmaps to smaller arrays of pixels.

const MOST_PIXELS = 36e6; // two such bitmaps and their mipmaps take 400 MB of GPU memory

/**
 * Decode a file: {bitmap, size}, an upright sRGB ImageBitmap that the caller has to close, and the size {width, height}
 * of the picture in the file. The bitmap is smaller if a side is longer than `longestSide` or there are more than
 * MOST_PIXELS. Throws a DOMException if the browser cannot decode the file.
 */
export async function decode(blob, longestSide) {
  const bitmap = await createImageBitmap(blob, { premultiplyAlpha: "none" });
  const { width, height } = bitmap;
  const scale = Math.min(1, longestSide / Math.max(width, height), Math.sqrt(MOST_PIXELS / (width * height)));
  return { bitmap: scale < 1 ? await shrink(bitmap, scale) : bitmap, size: { width, height } };
}

/** A bitmap as a Blob of `type` and `quality` (0 to 1), or as PNG if the browser cannot encode that type. */
export function encode(bitmap, type, quality) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas.convertToBlob({ type, quality });
}

/**
 * A bitmap as ImageData with a long side of at most `side` pixels, or with the size of `like`, another ImageData.
 * Pixels are picked, not averaged, because a histogram of averages would be too narrow.
 */
export function sample(bitmap, side, like = null) {
  return drawn(bitmap, like ?? fittingSize(bitmap, side));
}

/**
 * The same with averaged pixels, as the service shrinks photos: {width, height, data}, where data is a Float32Array
 * [height * width * 4] of RGBA code values from 0 to 255.
 */
export function small(bitmap, side, like = null) {
  return areaMeans(drawn(bitmap, bitmap), like ?? fittingSize(bitmap, side));
}

/** ImageData averaged over the areas of a grid of {width, height}, which must not be larger. */
export function areaMeans({ width, height, data }, size) {
  const rows = new Float32Array(size.width * height * 4);
  for (let row = 0; row < height; row++) {
    average(data, 4 * row * width, 4, width, rows, 4 * row * size.width, 4, size.width);
  }
  const result = new Float32Array(size.width * size.height * 4);
  const stride = 4 * size.width;
  for (let column = 0; column < size.width; column++) {
    average(rows, 4 * column, stride, height, result, 4 * column, stride, size.height);
  }
  return { width: size.width, height: size.height, data: result };
}

/** Means along one line: `length` pixels of `from`, `step` apart, become `count` pixels of `to`. */
function average(from, start, step, length, to, place, toStep, count) {
  for (let index = 0; index < count; index++) {
    const first = (index * length) / count;
    const last = ((index + 1) * length) / count;
    const at = place + index * toStep;
    for (let pixel = Math.floor(first); pixel < last; pixel++) {
      const weight = ((Math.min(pixel + 1, last) - Math.max(pixel, first)) * count) / length;
      const source = start + pixel * step;
      for (let channel = 0; channel < 4; channel++) to[at + channel] += weight * from[source + channel];
    }
  }
}

function fittingSize({ width, height }, side) {
  const scale = Math.min(1, side / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

function drawn(bitmap, { width, height }) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
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
