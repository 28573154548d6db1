// Which part of the picture is asked about, and how it is turned. Kept in the address, so that a camera that stands
// still is set up once. Knows no pointer and no key.

import { read, written } from "./rectangle.js";

// `crop` is a rectangle of per cents or null; `rotate` degrees clockwise, a multiple of 90.
export const WHOLE = { crop: null, rotate: 0 };

export function partOfAddress() {
  const asked = new URLSearchParams(location.search);
  const rotate = Number(asked.get("rotate"));
  return { crop: read(asked.get("crop")), rotate: [90, 180, 270].includes(rotate) ? rotate : 0 };
}

export function keepInAddress(part) {
  const address = new URL(location.href);
  for (const name of ["crop", "rotate"]) address.searchParams.delete(name);
  // by hand: these signs need no escape, and a person may read them
  const kept = Object.entries(fields(part)).map(([name, value]) => `${name}=${value}`);
  const others = address.searchParams.toString();
  address.search = [others, ...kept].filter((text) => text !== "").join("&");
  history.replaceState(history.state, "", address);
}

// The fields of an image part in the API.
export function fields({ crop, rotate }) {
  return { ...(crop && { crop: written(crop) }), ...(rotate && { rotate: String(rotate) }) };
}

export function isWhole({ crop, rotate }) {
  return crop === null && rotate === 0;
}

// Draws it, with the longer side of so many pixels.
export function draw(canvas, image, { crop, rotate }, longer) {
  const [x, y, width, height] = crop ?? [0, 0, 100, 100];
  const [across, down] = [(image.naturalWidth * width) / 100, (image.naturalHeight * height) / 100];
  const scale = longer / Math.max(across, down);
  const [wide, high] = [across * scale, down * scale];
  const size = rotate % 180 === 0 ? [wide, high] : [high, wide];
  [canvas.width, canvas.height] = size.map((side) => Math.max(1, Math.round(side)));
  const context = canvas.getContext("2d");
  context.translate(canvas.width / 2, canvas.height / 2);
  context.rotate((rotate * Math.PI) / 180);
  const from = [(image.naturalWidth * x) / 100, (image.naturalHeight * y) / 100, across, down];
  context.drawImage(image, ...from, -wide / 2, -high / 2, wide, high);
}
