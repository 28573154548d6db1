"""How facts are asked: several wordings per family, some of which are kept for evaluation.

Knows the names of the scenes and families, and nothing of pictures.
"""

from dataclasses import dataclass
from random import Random

from edgevlm_demo.scenes.scene import Fact, Question

SUFFIX = "\nAnswer the question using a single word or phrase."
UNANSWERABLE = "I cannot see that in the image."
THINGS = {"display": "digital display", "signal tower": "signal tower", "label": "label"}


@dataclass(frozen=True)
class Wordings:
    """`{}` is replaced by the fact's subject. `held_out` is never trained on."""

    trained: tuple[str, ...]
    held_out: tuple[str, ...]


WORDINGS = {
    "display reading": Wordings(
        (
            "What does the display read?",
            "What is the reading of the display?",
            "What number is shown on the display?",
            "What value does the digital display show?",
        ),
        ("What does the digital display read?", "What value is shown on the display?"),
    ),
    "digit colour": Wordings(
        (
            "What colour are the digits?",
            "What is the colour of the digits on the display?",
            "Which colour do the digits have?",
        ),
        ("What colour are the digits on the display?",),
    ),
    "lit lamp": Wordings(
        (
            "Which lamp is on?",
            "Which lamp of the signal tower is lit?",
            "What is the colour of the lamp that is on?",
            "Which colour does the signal tower show?",
        ),
        ("Which lamp of the signal tower is on?", "Which lamp is lit?"),
    ),
    "lamp state": Wordings(
        (
            "Is the {} lamp on?",
            "Is the {} lamp lit?",
            "Is the {} lamp of the signal tower on?",
        ),
        ("Is the {} lamp of the signal tower lit?",),
    ),
    "label text": Wordings(
        (
            "What is the {} on the label?",
            "What does the label say?",
            "What is the {}?",
            "Which {} is printed on the label?",
        ),
        ("What {} is on the label?",),
    ),
    "label kind": Wordings(
        (
            "What kind of number is on the label?",
            "What kind of label is this?",
            "Which kind of number does the label show?",
        ),
        ("What kind of number does the label show?",),
    ),
    "presence": Wordings(
        (
            "Is there a {} in the image?",
            "Can you see a {}?",
            "Does the image show a {}?",
        ),
        ("Is a {} in the image?",),
    ),
    "description": Wordings(
        ("Describe the image.", "What is in the image?", "What does the image show?"),
        ("What can you see in the image?",),
    ),
}

UNRELATED = Wordings(
    (
        "Who is the author of this book?",
        "How many people are in the image?",
        "What is the name of the company?",
        "What is the temperature outside?",
        "What animal is in the image?",
        "What time is it?",
        "Where was this picture taken?",
        "What is the person holding?",
        "What is the brand of the car?",
        "How old is the man?",
        "What is the weather like?",
        "Which country is this?",
    ),
    ("What is the name of the book?", "How many cars are in the image?"),
)

# what is asked of another scene's object when it is not there
ABSENT = {
    "display": ("display reading", "digit colour"),
    "signal tower": ("lit lamp",),
    "label": ("label text", "label kind"),
}


def ask(random: Random, fact: Fact, *, held_out: bool) -> Question:
    """The fact in one of its wordings; a third of the short-answer questions end with the suffix."""
    text = _choose(random, WORDINGS[fact.family], held_out=held_out).format(fact.subject)
    if fact.family != "description":
        text = _suffixed(random, text)
    return Question(fact.family, text, fact.answer)


def presence(random: Random, shown: str) -> Fact:
    """Yes and no in equal parts."""
    if random.random() < 0.5:
        return Fact("presence", THINGS[shown], "yes")
    return Fact("presence", THINGS[random.choice([name for name in THINGS if name != shown])], "no")


def unanswerable(random: Random, shown: str, *, held_out: bool) -> Question:
    """A question about something else: half unrelated, half about an object that is not in the picture."""
    if random.random() < 0.5:
        text = _choose(random, UNRELATED, held_out=held_out)
    else:
        absent = random.choice([name for name in ABSENT if name != shown])
        family = random.choice(ABSENT[absent])
        kind = random.choice(("serial number", "lot number", "part number"))
        text = _choose(random, WORDINGS[family], held_out=held_out).format(kind)
    return Question("unanswerable", _suffixed(random, text), UNANSWERABLE)


def _choose(random: Random, wordings: Wordings, *, held_out: bool) -> str:
    return random.choice(wordings.held_out if held_out else wordings.trained)


def _suffixed(random: Random, text: str) -> str:
    return text + SUFFIX if random.random() < 1 / 3 else text
