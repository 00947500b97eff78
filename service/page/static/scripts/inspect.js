// Recognises common files that are not photos by their first bytes, so that the page can say so before sending them.

import { Problem } from "./api.js";

const HEAD_BYTES = 512;

/** Kinds of files that people add by mistake: [name, signature, offset of the signature]. */
const OTHERS = [
  ["a PDF document", "%PDF", 0],
  ["an archive or an office document", "PK\x03\x04", 0],
  ["an archive", "\x1f\x8b", 0],
  ["an archive", "7z\xbc\xaf", 0],
  ["an archive", "Rar!", 0],
  ["a video", "\x1aE\xdf\xa3", 0],
  ["a video", "AVI ", 8],
  ["an audio file", "WAVE", 8],
  ["an audio file", "ID3", 0],
  ["an audio file", "OggS", 0],
  ["an audio file", "fLaC", 0],
  ["a Photoshop document", "8BPS", 0],
  ["a program", "MZ", 0],
  ["a program", "\x7fELF", 0],
];
/** Brands of the ISO base media file format that are pictures; all others are video or audio. */
const PICTURE_BRANDS = ["avif", "avis", "heic", "heix", "heim", "heis", "hevc", "mif1", "msf1", "crx "];
/** First bytes of camera raw; every TIFF may be one. */
const RAW = ["II*\0", "MM\0*", "FUJIFILMCCD-RAW", "IIRO", "IIRS", "MMOR", "IIU\0", "\0MRM", "FOVb"];
const MARKUP = /^\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<(svg|!doctype svg)/is;

/** Throw a Problem if a file cannot be read, is known not to be a photo, or is larger than `limits` allow. */
export async function checkFile(file, { max_body_bytes, max_raw_body_bytes }) {
  const bytes = new Uint8Array(await read(file.slice(0, HEAD_BYTES)));
  const kind = file.size === 0 ? "empty" : kindOf(bytes);
  if (kind) {
    const detail = "Choose a photo: JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP, GIF or camera raw.";
    const title = kind === "empty" ? "This file is empty" : `This is ${kind}, not a photo`;
    throw new Problem(415, { title, detail }, true);
  }
  const largest = mayBeRaw(bytes) ? max_raw_body_bytes : max_body_bytes;
  if (file.size > largest) {
    const detail = `It is ${megabytes(file.size)}. This server accepts up to ${megabytes(largest)}.`;
    throw new Problem(413, { title: "This file is too large", detail }, true);
  }
}

async function read(part) {
  try {
    return await part.arrayBuffer();
  } catch {
    const detail = "It may have been moved, changed or removed. Add it again.";
    throw new Problem(400, { title: "This file cannot be opened", detail }, true);
  }
}

function kindOf(bytes) {
  const head = String.fromCharCode(...bytes);
  const other = OTHERS.find(([, mark, place]) => head.startsWith(mark, place));
  if (other) return other[0];
  if (head.startsWith("ftyp", 4)) return PICTURE_BRANDS.some((brand) => head.includes(brand)) ? null : "a video";
  if (MARKUP.test(head)) return "a vector drawing";
  return isText(bytes) ? "a text file" : null;
}

function mayBeRaw(bytes) {
  const head = String.fromCharCode(...bytes);
  return RAW.some((mark) => head.startsWith(mark)) || head.startsWith("ftypcrx ", 4);
}

/** Text is valid UTF-8, perhaps cut off at the end, and has no control characters but white space and escape. */
function isText(bytes) {
  if (bytes.some((byte) => byte < 32 && ![9, 10, 12, 13, 27].includes(byte))) return false;
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}
