"""When an answer is none: the model says that it cannot tell, or it is not sure enough. Knows texts, no HTTP."""

from typing import Literal, NamedTuple

Refused = Literal["by_model", "low_confidence", "out_of_range"]
REFUSED: tuple[Refused, ...] = ("by_model", "low_confidence")
"""What can be said of any answer; only JSON can also hold a value that its schema does not allow."""

NoValue = Literal["refused", "low_confidence", "out_of_range", "unfinished"]
"""Why a field of a reading has none: the model said that it cannot tell, it was not sure enough, its value is not an
allowed one, or its answer was cut short."""

NOT_SURE = "The model is not sure enough of its answer."
"""What stands in place of such an answer."""


class Judge(NamedTuple):
    """`refusal` is what the model says when it cannot tell, `least` how sure an answer must be, 0 to 1."""

    refusal: str
    least: float = 0.0

    def refused(self, text: str, confidence: float) -> Refused | None:
        """Why a whole answer is none. What the model says itself goes first: that tells more."""
        if same_words(text) == same_words(self.refusal):
            return "by_model"
        return "low_confidence" if confidence < self.least else None


def same_words(text: str) -> str:
    """A text without what makes no difference here: white space around and between words, a last dot, capitals."""
    return " ".join(text.split()).removesuffix(".").rstrip().casefold()
