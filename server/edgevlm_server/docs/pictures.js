// The pictures within a body: shown beside it, named in its text, and exchanged for others. Knows no requests.

import { button, make } from "./elements.js";

const DATA_URL = /data:image\/[\w.+-]+;base64,[\w+/=]+/g;

// `text` is a body with data URLs. `shown` is the same to be read and changed, `whole(shown)` what is to be sent.
export function withPictures(text) {
  const urls = [...new Set(text.match(DATA_URL))];
  const names = urls.map((_, index) => `PICTURE-${index + 1}`);
  const exchanged = (from, to, within) => from.reduce((rest, one, index) => rest.replaceAll(one, to[index]), within);
  return {
    shown: exchanged(urls, names, text),
    whole: (shown) => exchanged(names, urls, shown),
    elements: names.map((name, index) => picture(name, urls[index], (url) => (urls[index] = url))),
  };
}

function picture(name, url, exchange) {
  const image = make("img");
  image.alt = name;
  show(image, blobOf(url));
  const file = make("input");
  file.type = "file";
  file.accept = "image/*";
  file.hidden = true;
  file.setAttribute("aria-label", `Another ${name}`);
  file.addEventListener("change", async () => {
    if (!file.files[0]) return;
    show(image, file.files[0]);
    exchange(await dataUrl(file.files[0]));
  });
  const another = button("quiet", "Another file", () => file.click());
  return make("div", "picture", image, make("div", "", make("code", "", name), another, file));
}

export function show(image, blob) {
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(blob);
}

function blobOf(url) {
  const [head, content] = url.split(",");
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: head.slice("data:".length, -";base64".length) });
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
