"""One question about one picture, the truth about it, and what became of it. Knows no drawing and no server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from PIL import Image

from edgevlm.evaluation.forms import REFUSAL

Outcome = Literal["right", "refused", "wrong"]

NOTHING = "There is no device in the image."
"""What the demo model says of a picture with nothing in it that it knows; beside the refusal, it is one too."""

NUMBER = re.compile(r"[-+\u2212]?\d+(?:[.,]\d+)?")


@dataclass(frozen=True)
class Truth:
    """What a right answer says: a number within a tolerance, one of some texts, or nothing (`refuse`)."""

    texts: tuple[str, ...] = ()
    number: float | None = None
    tolerance: float = 0.0
    unit: str = ""

    @property
    def refuse(self) -> bool:
        return not self.texts and self.number is None

    def __str__(self) -> str:
        if self.number is not None:
            spread = f" ± {self.tolerance:.3g} {self.unit}".rstrip() if self.tolerance else ""
            return f"{self.number:.{5 if spread else 7}g}{spread}"
        return " or ".join(self.texts) or "(to be refused)"


class Question(NamedTuple):
    """Of one family; `image` is the picture."""

    family: str
    image: Image.Image
    text: str
    truth: Truth


def outcome(said: str, truth: Truth) -> Outcome:
    """A refusal is right where there is nothing to tell, and no error elsewhere."""
    text = _plain(said)
    refused = text in (_plain(REFUSAL), _plain(NOTHING))
    if truth.refuse:
        return "right" if refused else "wrong"
    if refused:
        return "refused"
    return "right" if _fits(text, truth) else "wrong"


def _fits(text: str, truth: Truth) -> bool:
    if truth.number is None:
        return text in map(_plain, truth.texts)
    said = NUMBER.match(text)
    if said is None or text[said.end() :].strip() not in ("", _plain(truth.unit)):
        return False
    value = float(said.group().replace(",", ".").replace("\u2212", "-"))
    # a reader's half division is a little wider than that of binary fractions
    return abs(value - truth.number) <= truth.tolerance * 1.001 + 1e-9


def _plain(text: str) -> str:
    return " ".join(text.split()).removesuffix(".").lower()
