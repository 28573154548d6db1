// Rectangles within a picture, [x, y, width, height] in per cent of it, and how they are written. Knows no elements.

export const SMALLEST = 2; // per cent of a side
export const MIDDLE = [25, 25, 50, 50];

const WRITTEN = /^pct:(\d+(?:\.\d+)?),(\d+(?:\.\d+)?),(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)$/;

// The one with these corners, in any order.
export function between([ax, ay], [bx, by]) {
  const [left, right] = [Math.min(ax, bx), Math.max(ax, bx)];
  const [top, bottom] = [Math.min(ay, by), Math.max(ay, by)];
  return within([left, top, right - left, bottom - top]);
}

export function moved([x, y, width, height], dx, dy) {
  return within([held(x + dx, 0, 100 - width), held(y + dy, 0, 100 - height), width, height]);
}

// With its top left corner where it is.
export function resized([x, y, width, height], dx, dy) {
  return within([x, y, held(width + dx, SMALLEST, 100 - x), held(height + dy, SMALLEST, 100 - y)]);
}

// IIIF's syntax, which is the API's.
export function written(rectangle) {
  return `pct:${rectangle.join(",")}`;
}

// Null for a text that is no rectangle within a picture.
export function read(text) {
  const found = WRITTEN.exec(text ?? "");
  if (found === null) return null;
  const [x, y, width, height] = within(found.slice(1).map(Number));
  return width >= SMALLEST && height >= SMALLEST ? [x, y, width, height] : null;
}

// in tenths, and never over an edge: rounding must not carry it there
function within([x, y, width, height]) {
  const [left, top] = [tenths(held(x, 0, 100)), tenths(held(y, 0, 100))];
  const [right, bottom] = [tenths(held(x + width, 0, 100)), tenths(held(y + height, 0, 100))];
  return [left, top, tenths(right - left), tenths(bottom - top)];
}

function held(value, least, most) {
  return Math.max(least, Math.min(most, value));
}

function tenths(value) {
  return Number(value.toFixed(1));
}
