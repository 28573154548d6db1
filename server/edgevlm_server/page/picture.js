// The ways a picture comes in: chosen, dropped, pasted, an example. Hands over files; knows no server.

import { $ } from "./elements.js";

const QUALITY = 0.92;
const SMALLER_SIDE = 2048; // pixels; several times what a model looks at

// `chosen(file)` is called for each picture, `example(file, question)` for each example.
export function watchSources(chosen, example) {
  for (const input of [$("file"), $("capture")]) {
    input.addEventListener("change", () => {
      if (input.files[0]) chosen(input.files[0]);
      // so that the same file can be chosen again
      input.value = "";
    });
  }
  $("choose").addEventListener("click", () => $("file").click());
  let clicks = 0;
  for (const button of $("examples").querySelectorAll("button")) {
    button.addEventListener("click", async () => {
      const { file, question } = button.dataset;
      const mine = ++clicks;
      const content = await (await fetch(`page/${file}`)).blob();
      // what was clicked or chosen since then holds
      if (mine !== clicks || $("empty").hidden) return;
      example(new File([content], file, { type: content.type }), question);
    });
  }
  document.addEventListener("paste", (event) => take(event, event.clipboardData, chosen));
  watchDrops(chosen);
}

// anywhere on the page: a picture that misses the frame must not replace the page
function watchDrops(chosen) {
  let depth = 0;
  const show = (change) => {
    depth = Math.max(0, depth + change);
    $("stage").classList.toggle("over", depth > 0);
  };
  const withFile = (listener) => (event) => {
    if (event.dataTransfer.types.includes("Files")) listener(event);
  };
  document.addEventListener("dragenter", withFile(() => show(1)));
  document.addEventListener("dragleave", withFile(() => show(-1)));
  document.addEventListener("dragover", withFile((event) => event.preventDefault()));
  document.addEventListener("drop", withFile((event) => {
    show(-depth);
    take(event, event.dataTransfer, chosen);
  }));
}

function take(event, data, chosen) {
  const [file] = data?.files ?? [];
  if (!file) return;
  event.preventDefault();
  chosen(file);
}

// The same picture with fewer pixels, as a JPEG. Throws if the browser cannot read it.
export async function smaller(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, SMALLER_SIDE / Math.max(bitmap.width, bitmap.height));
  const name = file.name.replace(/(\.\w+)?$/, "-smaller.jpg");
  return jpeg(bitmap, bitmap.width * scale, bitmap.height * scale, name);
}

// What a bitmap or a video shows, as a file.
export async function jpeg(source, width, height, name) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.round(width), Math.round(height)];
  canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
  const content = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
  return new File([content], name, { type: content.type });
}

export function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
