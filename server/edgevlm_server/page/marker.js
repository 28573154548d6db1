// The rectangle on the picture: drawn, moved and sized with mouse, pen, finger or arrow keys. Knows no server.

import { $ } from "./elements.js";
import { between, MIDDLE, moved, resized, SMALLEST } from "./rectangle.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

let rectangle = null; // in per cent of the picture

// `changed(rectangle)` is called with what somebody makes of it here. Returns what shows it.
export function watchMarker(changed) {
  $("frame").addEventListener("pointerdown", (event) => begin(event, changed));
  $("part").addEventListener("keydown", (event) => press(event, changed));
  $("mark").addEventListener("click", () => {
    changed(MIDDLE);
    $("part").focus();
  });
  $("unmark").addEventListener("click", () => remove(changed));
  return show;
}

// `canDraw` says whether there is a picture to mark.
function show(one, canDraw = true) {
  rectangle = one;
  const [x, y, width, height] = one ?? MIDDLE;
  $("part").hidden = one === null;
  $("part-keys").hidden = one === null || !canDraw;
  $("mark").hidden = one !== null || !canDraw;
  $("unmark").hidden = one === null;
  // as long as a part is marked, a finger on the picture draws; else it scrolls the page
  $("frame").classList.toggle("marked", one !== null);
  Object.assign($("part").style, { left: `${x}%`, top: `${y}%`, width: `${width}%`, height: `${height}%` });
  $("part").setAttribute("aria-label", `Marked part: ${spoken([x, y, width, height])}`);
}

export function spoken([x, y, width, height]) {
  return `${x} % from the left, ${y} % from the top, ${width} % wide, ${height} % high`;
}

function remove(changed) {
  changed(null);
  $("mark").focus();
}

// ---- pointers

function begin(event, changed) {
  if (event.button !== 0 || (event.pointerType === "touch" && rectangle === null)) return;
  event.preventDefault(); // neither a selection nor the browser's own dragging of pictures
  const before = rectangle;
  const drag = dragFrom(event);
  const move = (next) => {
    const one = drag(placeOf(next));
    if (one[2] >= SMALLEST && one[3] >= SMALLEST) changed(one);
  };
  const end = (last) => {
    for (const [name, listener] of Object.entries(listeners)) $("frame").removeEventListener(name, listener);
    if (last.type === "pointercancel") changed(before);
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

function press(event, changed) {
  if (event.key === "Delete" || event.key === "Backspace") {
    event.preventDefault();
    remove(changed);
    return;
  }
  const arrow = ARROWS[event.key];
  if (!arrow || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  changed((event.shiftKey ? resized : moved)(rectangle, ...arrow));
}
