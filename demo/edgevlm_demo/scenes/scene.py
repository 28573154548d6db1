"""What a drawn picture carries: questions with answers, and marks on the things that are drawn.

Knows nothing of how a scene is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
# a place, stored as place + 1: of a glyph in its string, of a bolt or hole clockwise from the top, of a
# defect's quarter in reading order; of a needle's tip: outside the red zone, inside it
NO_ORDER = 0
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
    """Something that a patch can hold; `box` is x0, y0, x1, y1 in pixels of its picture."""

    kind: str
    box: Box
    order: int = NO_ORDER
    follow: int = PLAIN


@dataclass(frozen=True)
class Scene:
    """A drawn picture, all that is known about it, and about one question per family."""

    name: str
    seed: int
    image: Image.Image
    questions: tuple[Question, ...]
    marks: tuple[Mark, ...]
    devices: tuple[str, ...]  # names of what is shown
