// The rectangle on the picture: drawn, moved and sized with mouse, pen, finger or arrow keys. Knows no server.

import { $ } from "./elements.js";
import { between, MIDDLE, moved, resized, SMALLEST } from "./rectangle.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

let rectangle = null; // in per cent of the picture

// `changed(rectangle)` is called whenever somebody changes it here. Returns what shows one that comes from elsewhere.
export function watchMarker(changed) {
  const set = (one) => {
    show(one);
    changed(one);
  };
  $("frame").addEventListener("pointerdown", (event) => begin(event, set));
  $("part").addEventListener("keydown", (event) => press(event, set));
  $("mark").addEventListener("click", () => {
    set(MIDDLE);
    $("part").focus();
  });
  $("unmark").addEventListener("click", () => remove(set));
  return show;
}

function show(one) {
  rectangle = one;
  const [x, y, width, height] = one ?? MIDDLE;
  $("part").hidden = one === null;
  $("mark").hidden = one !== null;
  $("unmark").hidden = one === null;
  // as long as a part is marked, a finger on the picture draws; else it scrolls the page
  $("frame").classList.toggle("marked", one !== null);
  Object.assign($("part").style, { left: `${x}%`, top: `${y}%`, width: `${width}%`, height: `${height}%` });
  $("part").setAttribute("aria-label", `Marked part: ${spoken([x, y, width, height])}`);
}

export function spoken([x, y, width, height]) {
  return `${x} % from the left, ${y} % from the top, ${width} % wide, ${height} % high`;
}

function remove(set) {
  set(null);
  $("mark").focus();
}

// ---- pointers

function begin(event, set) {
  if (event.button !== 0 || (event.pointerType === "touch" && rectangle === null)) return;
  event.preventDefault(); // neither a selection nor the browser's own dragging of pictures
  const before = rectangle;
  const drag = dragFrom(event);
  const move = (next) => {
    const one = drag(placeOf(next));
    if (one[2] >= SMALLEST && one[3] >= SMALLEST) set(one);
  };
  const end = (last) => {
    for (const [name, listener] of Object.entries(listeners)) $("frame").removeEventListener(name, listener);
    if (last.type === "pointercancel") set(before);
    else if (rectangle !== null) $("part").focus({ preventScroll: true });
  };
  const listeners = { pointermove: move, pointerup: end, pointercancel: end };
  for (const [name, listener] of Object.entries(listeners)) $("frame").addEventListener(name, listener);
  $("frame").setPointerCapture(event.pointerId);
}

// From the place of a pointer to the rectangle: a corner pulls, the inside moves, elsewhere a new one is drawn.
function dragFrom(event) {
  const start = placeOf(event);
  const corner = event.target.dataset.corner;
  if (corner) {
    const [x, y, width, height] = rectangle;
    const fixed = [corner.includes("w") ? x + width : x, corner.includes("n") ? y + height : y];
    return (place) => between(fixed, place);
  }
  if (event.target === $("part")) {
    const first = rectangle;
    return (place) => moved(first, place[0] - start[0], place[1] - start[1]);
  }
  return (place) => between(start, place);
}

function placeOf(event) {
  const { left, top, width, height } = $("frame").getBoundingClientRect();
  return [(100 * (event.clientX - left)) / width, (100 * (event.clientY - top)) / height];
}

// ---- keys

function press(event, set) {
  if (event.key === "Delete" || event.key === "Backspace") {
    event.preventDefault();
    remove(set);
    return;
  }
  const arrow = ARROWS[event.key];
  if (!arrow || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  set((event.shiftKey ? resized : moved)(rectangle, ...arrow));
}
