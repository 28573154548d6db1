"""What was asked and what came of it, whoever asks and whoever answers. Knows no scores."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from edgevlm.pictures import PillowPicture

TEMPERATURES = tuple(round(1.1**power, 2) for power in range(-7, 25))
"""Half to ten: what a confidence is tried at, to find what fits."""


class VisualQuestion(Protocol):
    """A question about one picture."""

    @property
    def image(self) -> "PillowPicture": ...
    @property
    def text(self) -> str: ...


class Said(NamedTuple):
    """An answer, how sure it is (0 to 1), and whether it is the model's own refusal.

    `curve` holds the natural logarithm of what `confidence` would be at each of `TEMPERATURES`; it is empty where
    only a server knows the logits.
    """

    text: str
    confidence: float
    refused: bool
    curve: tuple[float, ...] = ()
