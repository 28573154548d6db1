"""What a drawn picture carries: questions with answers, and one set of labels per 14-pixel patch.

Knows nothing of how a scene is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 168  # pixels: side of the square that the vision tower sees
PATCH = 14  # pixels
GRID = SIDE // PATCH

GLYPHS = "0123456789ACEHKP-"
LAMPS = ("red", "amber", "green")
LAMP_STATES = tuple(f"{lamp} {state}" for lamp in LAMPS for state in ("off", "on"))
LABEL_KINDS = ("serial number", "lot number", "part number")
SCALE = tuple(f"scale {value}" for value in range(11))
TIPS = tuple(f"tip {half / 2}" for half in range(21))
FASTENERS = ("bolt", "hole")
DEFECTS = ("scratch", "dent", "stain", "crack")
DIGIT_COLOURS = ("red", "green", "amber", "blue", "white", "black")
PANELS = tuple(f"{colour} panel" for colour in DIGIT_COLOURS)
SMALL = frozenset((*GLYPHS, *SCALE, *TIPS, *FASTENERS, *DEFECTS))
KINDS: tuple[str, ...] = (
    "background",
    *GLYPHS,
    *LAMP_STATES,
    *LABEL_KINDS,
    *SCALE,
    *TIPS,
    *FASTENERS,
    *DEFECTS,
    "needle",
    "red zone",
    *PANELS,
    "paper",
    "pole",
    "face",
    "flange",
    "plate",
)
KIND_INDEX = {kind: index for index, kind in enumerate(KINDS)}
# a place, stored as place + 1: of a glyph in its string, of a bolt or hole clockwise from the top, of a
# defect's quarter in reading order; of a needle's tip: outside the red zone, inside it
NO_ORDER = 0
MAX_ORDER = 8
PLAIN, IS_POINT, BEFORE_POINT, LAST = range(4)  # what follows a glyph, or the decimal point itself

Box = tuple[float, float, float, float]
Style = Literal["plain", "varied", "held out"]
"""Fonts and shapes of digits: those of most of the training, more of them for its last stage, or never trained on."""


@dataclass(frozen=True)
class Fact:
    """One thing that can be asked about a picture; `subject` fills the blank of the family's wordings."""

    family: str
    subject: str
    answer: str


@dataclass(frozen=True)
class Question:
    """A fact in words; `family` names the skill it measures, `tolerance` how far off a number is still right."""

    family: str
    text: str
    answer: str
    tolerance: float = 0.0


@dataclass(frozen=True)
class Mark:
    """Something a patch can be labelled with; `box` is x0, y0, x1, y1 in pixels of its picture."""

    kind: str
    box: Box
    order: int = NO_ORDER
    follow: int = PLAIN

    @property
    def is_small(self) -> bool:
        return self.kind in SMALL


@dataclass(frozen=True)
class PatchLabels:
    """Three `[12, 12]` uint8 maps over the patches of the padded and reduced picture."""

    kind: NDArray[np.uint8]
    order: NDArray[np.uint8]
    follow: NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """A drawn picture, all that is known about it, and about one question per family."""

    name: str
    seed: int
    image: Image.Image
    questions: tuple[Question, ...]
    marks: tuple[Mark, ...]
    devices: tuple[str, ...]  # names of what is shown


def patch_labels(marks: tuple[Mark, ...], width: int, height: int) -> PatchLabels:
    """Labels of the patches after the picture is padded to a square and reduced to 168 x 168.

    Later marks win over earlier ones where they cover at least 30 % of a patch; among small things the one
    that covers most wins, and each gets at least the patch in which its centre lies.
    """
    scale = SIDE / max(width, height)
    left, top = (max(width, height) - width) // 2, (max(width, height) - height) // 2
    maps = np.zeros((3, GRID, GRID), dtype=np.uint8)
    best = np.zeros((GRID, GRID))
    starts = np.arange(GRID) * float(PATCH)
    centres = []
    for mark in marks:
        x0, y0, x1, y1 = mark.box
        x0, x1 = (x0 + left) * scale, (x1 + left) * scale
        y0, y1 = (y0 + top) * scale, (y1 + top) * scale
        across = np.clip(np.minimum(starts + PATCH, x1) - np.maximum(starts, x0), 0, PATCH)
        down = np.clip(np.minimum(starts + PATCH, y1) - np.maximum(starts, y0), 0, PATCH)
        cover = np.outer(down, across) / PATCH**2
        values = (KIND_INDEX.get(mark.kind, 0), mark.order, mark.follow)
        if mark.follow == IS_POINT:
            row, column = _patch_at((y0 + y1) / 2), _patch_at((x0 + x1) / 2)
            if not best[row, column]:
                maps[2, row, column] = IS_POINT
            continue
        chosen = cover > np.maximum(best, 0.3) if mark.is_small else cover > 0.3
        maps[:, chosen] = np.array(values, dtype=np.uint8)[:, None]
        if mark.is_small:
            best[chosen] = cover[chosen]
            centres.append((_patch_at((y0 + y1) / 2), _patch_at((x0 + x1) / 2), values))
    for row, column, values in centres:
        maps[:, row, column] = values
    return PatchLabels(maps[0], maps[1], maps[2])


def _patch_at(position: float) -> int:
    return min(GRID - 1, max(0, int(position // PATCH)))
