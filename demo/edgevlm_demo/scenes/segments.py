"""Seven-segment characters as polygons in a cell of height 1. Knows nothing of colours or pictures."""

from __future__ import annotations

from typing import Literal

Point = tuple[float, float]
Shape = Literal["pointed", "blunt", "mitred"]

#     a
#   f   b
#     g
#   e   c
#     d
LIT = {
    "0": "abcdef",
    "1": "bc",
    "2": "abged",
    "3": "abgcd",
    "4": "fgbc",
    "5": "afgcd",
    "6": "afgedc",
    "7": "abc",
    "8": "abcdefg",
    "9": "abfgcd",
    "-": "g",
}
SEVEN_WITH_HOOK = "abcf"


def segment_polygons(width: float, thickness: float, gap: float, shape: Shape) -> dict[str, list[Point]]:
    """Corners of all seven segments; `width`, `thickness`, `gap` in cell heights.

    Blunt ones are rectangles, pointed ones hexagons, mitred ones meet in the corners of the cell like a frame's bars.
    """
    if shape == "mitred":
        return _mitred(width, thickness, gap)
    half = thickness / 2
    left, right = half, width - half
    tip = 0.0 if shape == "blunt" else half
    rows = {"a": half, "g": 0.5, "d": 1 - half}
    polygons = {name: _horizontal(left + gap, right - gap, y, half, tip) for name, y in rows.items()}
    for name, x, y0, y1 in (("f", left, half, 0.5), ("b", right, half, 0.5)):
        polygons[name] = _vertical(x, y0 + gap, y1 - gap, half, tip)
    for name, x, y0, y1 in (("e", left, 0.5, 1 - half), ("c", right, 0.5, 1 - half)):
        polygons[name] = _vertical(x, y0 + gap, y1 - gap, half, tip)
    return polygons


def _mitred(width: float, thickness: float, gap: float) -> dict[str, list[Point]]:
    half, space = thickness / 2, gap / 2 + 0.01
    top = [(space, 0.0), (width - space, 0.0), (width - thickness - space, thickness), (thickness + space, thickness)]
    upper_left = [
        (0.0, space),
        (thickness, thickness + space),
        (thickness, 0.5 - half - space),
        (half, 0.5 - space),
        (0.0, 0.5 - space),
    ]
    upper_right = [(width - x, y) for x, y in upper_left]
    return {
        "a": top,
        "b": upper_right,
        "c": [(x, 1 - y) for x, y in upper_right],
        "d": [(x, 1 - y) for x, y in top],
        "e": [(x, 1 - y) for x, y in upper_left],
        "f": upper_left,
        "g": _horizontal(half + space, width - half - space, 0.5, half, half),
    }


def _horizontal(x0: float, x1: float, y: float, half: float, tip: float) -> list[Point]:
    return [
        (x0, y),
        (x0 + tip, y - half),
        (x1 - tip, y - half),
        (x1, y),
        (x1 - tip, y + half),
        (x0 + tip, y + half),
    ]


def _vertical(x: float, y0: float, y1: float, half: float, tip: float) -> list[Point]:
    return [(py, px) for px, py in _horizontal(y0, y1, x, half, tip)]
