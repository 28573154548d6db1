"""What the tower learns of every 14-pixel patch: the thing in it, the characters in it, and places. Numpy only.

A patch holds up to three characters, for print is smaller than a patch. Strips say where in it each of them lies.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from edgevlm_demo.scenes import GRID, KINDS, PATCH, SIDE, Mark
from edgevlm_demo.scenes.scene import DEFECTS, FASTENERS, GLYPHS, IS_POINT, SCALE, TIPS
from numpy.typing import NDArray

CHARACTERS = string.digits + string.ascii_uppercase + "-."
CHARACTER_INDEX = {character: index + 1 for index, character in enumerate(CHARACTERS)}  # 0: none
THINGS = (*(kind for kind in KINDS if kind not in {*GLYPHS, *SCALE, *TIPS}), "panel", "text", "tip")
THING_INDEX = {thing: index for index, thing in enumerate(THINGS)}
SLOTS = 3
STRIPS = 4  # upright ones across a patch
MAX_ORDER = 12  # places in a string or circle, counted from 1
LINE = 5.0  # pixels: characters farther apart than that stand in two lines
STEPS = 50  # of a gauge's scale
_ORDERED = {*FASTENERS, *DEFECTS}
_SMALL = {*FASTENERS, *DEFECTS, "tip"}


@dataclass(frozen=True)
class Targets:
    """uint8 maps over the 144 patches; `value` is 0 where no needle's tip is, else the place on the scale + 1."""

    thing: NDArray[np.uint8]  # [144]
    slots: NDArray[np.uint8]  # [144, 3], in reading order
    order: NDArray[np.uint8]  # [144], of the first character, or of a bolt, hole or defect
    value: NDArray[np.uint8]  # [144]
    strips: NDArray[np.uint8]  # [144, 4], the character that each strip of the patch lies on


def patch_targets(marks: Sequence[Mark], width: int, height: int) -> Targets:
    """Of a picture of this size, after it is padded to a square and reduced to 168 x 168."""
    scale = SIDE / max(width, height)
    left, top = (max(width, height) - width) // 2, (max(width, height) - height) // 2
    thing = np.zeros((GRID, GRID), dtype=np.uint8)
    order = np.zeros((GRID, GRID), dtype=np.uint8)
    value = np.zeros((GRID, GRID), dtype=np.uint8)
    strips = np.zeros((GRID, GRID * STRIPS), dtype=np.uint8)
    held: dict[tuple[int, int], list[tuple[float, float, int, int]]] = {}
    for mark in marks:
        x0, x1 = (mark.box[0] + left) * scale, (mark.box[2] + left) * scale
        y0, y1 = (mark.box[1] + top) * scale, (mark.box[3] + top) * scale
        kind, place, share = _read(mark)
        if kind in CHARACTER_INDEX:
            rows, columns = _strips((x0, y0, x1, y1))
            strips[rows, columns] = CHARACTER_INDEX[kind]
        for row, column in _patches((x0, y0, x1, y1), small=kind in CHARACTER_INDEX or kind in _SMALL):
            if kind in CHARACTER_INDEX:
                middle = (x0 + x1) / 2
                held.setdefault((row, column), []).append(((y0 + y1) / 2, middle, CHARACTER_INDEX[kind], place))
            elif kind in THING_INDEX:
                thing[row, column] = THING_INDEX[kind]
                order[row, column] = place if kind in _ORDERED else 0
                value[row, column] = share
    slots = np.zeros((GRID, GRID, SLOTS), dtype=np.uint8)
    for (row, column), characters in held.items():
        upper = min(character[0] for character in characters)
        characters.sort(key=lambda character: (character[0] - upper > LINE, character[1]))
        thing[row, column] = THING_INDEX["text"]
        order[row, column] = characters[0][3]
        for slot, character in enumerate(characters[:SLOTS]):
            slots[row, column, slot] = character[2]
    return Targets(
        thing.reshape(-1), slots.reshape(-1, SLOTS), order.reshape(-1), value.reshape(-1), strips.reshape(-1, STRIPS)
    )


def _read(mark: Mark) -> tuple[str, int, int]:
    """Thing or character, its place, and a tip's place on its scale + 1."""
    if mark.follow == IS_POINT:
        return ".", 0, 0
    if mark.kind.startswith("tip "):  # of the drawn scenes' gauge, which ends at 10
        return "tip", 0, 1 + round(STEPS * float(mark.kind[4:]) / 10)
    if mark.kind == "tip":
        return "tip", 0, min(STEPS + 1, max(1, mark.order))
    return mark.kind, min(mark.order, MAX_ORDER), 0


def _strips(box: tuple[float, float, float, float]) -> tuple[slice, slice]:
    """Rows of patches that hold two fifths of the character or are held by it, and the strips on which it lies."""
    x0, y0, x1, y1 = box
    least = 0.4 * min(PATCH, y1 - y0)
    rows = slice(max(0, int(np.ceil((y0 + least) / PATCH)) - 1), max(0, int((y1 - least) // PATCH) + 1))
    width = PATCH / STRIPS
    columns = slice(max(0, int(np.ceil(x0 / width - 0.5))), max(0, int(np.floor(x1 / width - 0.5)) + 1))
    return rows, columns


def _patches(box: tuple[float, float, float, float], *, small: bool) -> Iterator[tuple[int, int]]:
    """Those whose middle the box covers; for small things also the one in which the box's middle lies."""
    x0, y0, x1, y1 = box
    half = PATCH / 2
    columns = range(max(0, int(np.ceil((x0 - half) / PATCH))), min(GRID - 1, int((x1 - half) // PATCH)) + 1)
    rows = range(max(0, int(np.ceil((y0 - half) / PATCH))), min(GRID - 1, int((y1 - half) // PATCH)) + 1)
    middle = int((y0 + y1) / 2 // PATCH), int((x0 + x1) / 2 // PATCH)
    covered = False
    for row in rows:
        for column in columns:
            covered = covered or (row, column) == middle
            yield row, column
    if small and not covered and 0 <= middle[0] < GRID and 0 <= middle[1] < GRID:
        yield middle
