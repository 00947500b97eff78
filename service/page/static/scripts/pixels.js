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
  return drawn(bitmap, like ?? fittingSize(bitmap, side));
}

/**
 * The same, with every pixel the mean of those that it stands for, as the service shrinks photos: {width, height, data},
 * Float32Array [height * width * 4], code values.
 */
export function small(bitmap, side, like = null) {
  return areaMeans(drawn(bitmap, bitmap), like ?? fittingSize(bitmap, side));
}

/** Area means of ImageData on a grid of {width, height}, no larger than it. */
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
