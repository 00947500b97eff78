// How photos come in: chosen, dropped anywhere on the page, or pasted.

/** Call `take(files)` with every list of files that comes in; `inputs` are file inputs. */
export function watchForFiles(inputs, take) {
  for (const input of inputs) {
    input.addEventListener("change", () => {
      take([...input.files]);
      input.value = ""; // so that the same file can be chosen again
    });
  }
  document.addEventListener("paste", (event) => takeSome(event.clipboardData?.files, take));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    takeSome(event.dataTransfer?.files, take);
  });
}

function takeSome(files, take) {
  if (files?.length) take([...files]);
}
