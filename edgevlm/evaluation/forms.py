"""The demo model's questions as typed values: one leaf of a JSON schema, one field of a reading. Knows no server."""

import re
from typing import Any, Literal, NamedTuple, get_args

Way = Literal["free", "json", "field"]
"""A plain chat, a chat with a JSON schema, a reading's field."""

WAYS: tuple[Way, ...] = get_args(Way)

REFUSAL = "I cannot see that in the image."
"""What the demo model says, and what stands for a null."""

LONGEST = 160
"""Characters of a text: the model describes a picture in less."""


class Form(NamedTuple):
    """`type` as a reading's field names it, with the choices that it allows."""

    type: Literal["number", "integer", "text", "choice", "boolean"]
    choices: tuple[str, ...] = ()

    def leaf(self) -> dict[str, Any]:
        """As a JSON schema, with null for what cannot be seen."""
        if self.choices:
            return {"enum": [*self.choices, None]}
        if self.type == "text":
            return {"type": ["string", "null"], "maxLength": LONGEST}
        return {"type": [self.type, "null"]}

    def field(self, name: str, question: str) -> dict[str, Any]:
        """As `POST /v1/readings` takes it."""
        field: dict[str, Any] = {"name": name, "question": question, "type": self.type}
        if self.choices:
            field["choices"] = list(self.choices)
        if self.type == "text":
            field["max_length"] = LONGEST
        return field


COLOURS = Form("choice", ("red", "green", "amber", "blue", "white", "black"))
LAMPS = Form("choice", ("red", "amber", "green", "none"))
PLACES = Form("choice", ("upper left", "upper right", "lower left", "lower right"))
DEFECTS = Form("choice", ("scratch", "dent", "stain", "crack", "none"))
KINDS = Form("choice", ("serial number", "lot number", "part number"))

RULES: tuple[tuple[str, Form], ...] = (
    (r"^(is|are|does|can)\b", Form("boolean")),
    (r"\b(lamp|light|tower)\b", LAMPS),
    (r"\bcolou?r\b", COLOURS),
    (r"(where|side|part|place) .*(defect|plate)", PLACES),
    (r"\b(defect|wrong with)\b", DEFECTS),
    (r"kind of number", KINDS),
    (r"\b(bolts|holes)\b", Form("integer")),
    (r"\b(display|gauge|needle)\b", Form("number")),
)
"""What a question's words tell of its answer; the first that matches counts."""


def form_of(question: str) -> Form:
    """A text where no rule says more."""
    words = question.lower()
    return next((form for pattern, form in RULES if re.search(pattern, words)), Form("text"))


def worded(value: object) -> str:
    """A typed value as the model's free answer would say it; null is the refusal."""
    if value is None:
        return REFUSAL
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def same_number(said: str, truth: str) -> bool:
    """Whether two texts are the same number."""
    try:
        return float(said) == float(truth)
    except ValueError:
        return False
