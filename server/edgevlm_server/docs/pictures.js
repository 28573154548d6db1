// The pictures within a body: shown beside it, named in its text, and exchanged for others. Knows no requests.

import { button, make } from "./elements.js";

const DATA_URL = /data:image\/[\w.+-]+;base64,[\w+/=]+/g;

// `text` is a body with data URLs. `shown` is the same to be read and changed, `whole(shown)` promises what is to be sent:
// a file that was chosen may still be read.
export function withPictures(text) {
  const urls = [...new Set(text.match(DATA_URL))];
  const names = urls.map((_, index) => `PICTURE-${index + 1}`);
  const exchanged = (from, to, within) => from.reduce((rest, one, index) => rest.replaceAll(one, to[index]), within);
  return {
    shown: exchanged(urls, names, text),
    whole: async (shown) => exchanged(names, await Promise.all(urls), shown),
    elements: names.map((name, index) => picture(name, urls[index], (url) => (urls[index] = url))),
  };
}

function picture(name, url, exchange) {
  const [element, show] = frame(name, false, ([file]) => exchange(dataUrl(file)));
  show(blobOf(url));
  return element;
}

// A picture with a button for another one. Returns the element and what shows a file; `chosen(files)` hears of others.
export function frame(name, several, chosen) {
  const image = make("img");
  image.alt = "";
  const show = (file) => {
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(file);
  };
  const input = make("input");
  input.type = "file";
  input.multiple = several;
  input.hidden = true;
  input.addEventListener("change", () => {
    if (!input.files[0]) return;
    show(input.files[0]);
    chosen([...input.files]);
  });
  const another = button("quiet", several ? "Other files" : "Another file", () => input.click());
  another.setAttribute("aria-label", `${another.textContent} for ${name}`);
  return [make("div", "picture", image, make("div", "", make("code", "", name), another, input)), show];
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
