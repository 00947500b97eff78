// Writes files into one .zip, without compression, which would not make encoded pictures smaller.
// Format: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.16 (end record).

const LOCAL_HEADER = 0x04034b50;
const CENTRAL_HEADER = 0x02014b50;
const END = 0x06054b50;
const VERSION = 20;
const UTF8_NAMES = 0x0800;
const LARGEST = 0xffffffff;
const TOO_MUCH = "This exceeds the 4 GB limit of a .zip file.";

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** Files as a .zip Blob; names are made distinct. Throws a RangeError beyond 4 GB or 65535 files. */
export async function zip(files) {
  const parts = [];
  const directory = [];
  const names = new Set();
  let offset = 0;
  for (const file of files) {
    const encodedName = new TextEncoder().encode(distinct(file.name, names));
    const entry = [UTF8_NAMES, 0, ...timestamp(new Date()), await crc32(file), file.size, file.size];
    const local = fields("IHHHHHIIIHH", LOCAL_HEADER, VERSION, ...entry, encodedName.length, 0);
    const central = [CENTRAL_HEADER, VERSION, VERSION, ...entry, encodedName.length, 0, 0, 0, 0, 0, offset];
    directory.push(fields("IHHHHHHIIIHHHHHII", ...central), encodedName);
    parts.push(local, encodedName, file);
    offset += local.byteLength + encodedName.length + file.size;
  }
  const length = directory.reduce((sum, part) => sum + part.byteLength, 0);
  if (offset + length > LARGEST || files.length > 0xffff) throw new RangeError(TOO_MUCH);
  const end = fields("IHHHHIIH", END, 0, 0, files.length, files.length, length, offset, 0);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/** Pack numbers as little-endian integers of 4 (I) or 2 (H) bytes, one for each letter of `layout`. */
function fields(layout, ...values) {
  const view = new DataView(new ArrayBuffer([...layout].reduce((sum, kind) => sum + (kind === "I" ? 4 : 2), 0)));
  let position = 0;
  [...layout].forEach((kind, index) => {
    if (kind === "I") view.setUint32(position, values[index], true);
    else view.setUint16(position, values[index], true);
    position += kind === "I" ? 4 : 2;
  });
  return view.buffer;
}

async function crc32(blob) {
  let crc = ~0;
  for (const byte of new Uint8Array(await blob.arrayBuffer())) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** [time, date] in the format of MS-DOS. */
function timestamp(now) {
  const time = (now.getHours() << 11) | (now.getMinutes() << 5) | (now.getSeconds() >> 1);
  const date = ((now.getFullYear() - 1980) << 9) | ((now.getMonth() + 1) << 5) | now.getDate();
  return [time, date];
}

/** Names that differ only in case are the same file on Windows and macOS. */
function distinct(name, taken) {
  const [, stem, ending] = name.match(/^(.*?)(\.[^.]*)?$/s);
  let candidate = name;
  for (let number = 2; taken.has(candidate.toLowerCase()); number++) candidate = `${stem}-${number}${ending ?? ""}`;
  taken.add(candidate.toLowerCase());
  return candidate;
}
