// Photos can be chosen, dropped anywhere on the page (folders, too), pasted, or taken with a phone's camera.

const MOST = 500; // photos added at once
const PHOTOS = /\.(jpe?g|jpe|png|webp|avif|hei[cf]|tiff?|bmp|gif|dng|cr[23]|nef|arw|raf|rw2|orf|mpo)$/i;

/** Call `take(files, wereMore)` with each list of files, cut to MOST, that the user adds. `inputs` are file inputs. */
export function watchForFiles(inputs, take) {
  const give = (files) => files.length > 0 && take(files.slice(0, MOST), files.length > MOST);
  for (const input of inputs) {
    input.addEventListener("change", () => {
      const files = [...input.files];
      give(input.webkitdirectory ? files.filter(isPhoto).sort(byPath) : files);
      input.value = ""; // so that the same file can be chosen again
    });
  }
  document.addEventListener("paste", (event) => give([...(event.clipboardData?.files ?? [])]));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("over");
  });
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    give(await droppedFiles(event.dataTransfer));
  });
}

/** The files that were dropped. Those in folders are filtered by their names, and sorted. */
async function droppedFiles(transfer) {
  // The entries are no longer available after the first await.
  const entries = [...(transfer?.items ?? [])].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some(({ isDirectory }) => isDirectory)) return [...(transfer?.files ?? [])];
  const files = [];
  for (const entry of entries) {
    if (entry.isDirectory) files.push(...(await inFolder(entry)));
    else files.push(await fileOf(entry));
  }
  return files;
}

async function inFolder(folder) {
  const reader = folder.createReader();
  const entries = [];
  // A reader returns some entries at a time, and an empty list at the end.
  for (let some = null; some?.length !== 0 && entries.length <= MOST; entries.push(...some)) {
    some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
  }
  const files = [];
  for (const entry of entries.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }))) {
    if (files.length > MOST) break;
    if (entry.isDirectory) files.push(...(await inFolder(entry)));
    else if (isPhoto(entry)) files.push(await fileOf(entry));
  }
  return files;
}

function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

function isPhoto({ name }) {
  return PHOTOS.test(name) && !name.startsWith(".");
}

function byPath(one, other) {
  return one.webkitRelativePath.localeCompare(other.webkitRelativePath, undefined, { numeric: true });
}
