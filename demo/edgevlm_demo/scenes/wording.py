"""How facts are asked: several wordings per family, some of which are kept for evaluation.

Knows the names of the devices and families, and nothing of pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from edgevlm_demo.scenes.scene import LABEL_KINDS, LAMPS, Fact, Question
from edgevlm_demo.scenes.unrelated import OBJECTS, unrelated_question
from edgevlm_demo.scenes.variety import varied

SUFFIX = "\nAnswer the question using a single word or phrase."
UNANSWERABLE = "I cannot see that in the image."
NOTHING = "There is no device in the image."
"""What describes a picture without a device."""
THINGS = {
    "display": "digital display",
    "dial gauge": "dial gauge",
    "signal tower": "signal tower",
    "label": "label",
    "flange": "flange",
    "metal plate": "metal plate",
}


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
            "Read the display.",
            "Which number does the display show?",
        ),
        ("What does the digital display read?", "What value is shown on the display?"),
    ),
    "digit colour": Wordings(
        (
            "What colour are the digits?",
            "What is the colour of the digits on the display?",
            "Which colour do the digits have?",
            "What color are the digits?",
            "In which colour is the number on the display?",
            "What colour are the digits on the display?",
            "What is the colour of the number?",
            "What colour does the display have?",
            "Tell me the colour of the digits.",
        ),
        ("What colour do the digits on the display have?", "Which colour is the number on the display?"),
    ),
    "gauge reading": Wordings(
        (
            "What does the gauge read?",
            "What is the reading of the gauge?",
            "What value does the needle point to?",
            "What value does the dial gauge show?",
            "Read the gauge.",
            "Which value does the gauge show?",
        ),
        ("What does the dial gauge read?", "What value is shown on the gauge?"),
    ),
    "red zone": Wordings(
        (
            "Is the needle in the red zone?",
            "Does the needle point to the red zone?",
            "Is the gauge in the red zone?",
            "Is the reading of the gauge in the red zone?",
        ),
        ("Is the needle of the gauge in the red zone?", "Does the gauge point to the red zone?"),
    ),
    "lit lamp": Wordings(
        (
            "Which lamp is on?",
            "Which lamp of the signal tower is lit?",
            "What is the colour of the lamp that is on?",
            "Which colour does the signal tower show?",
            "Which light of the tower is on?",
        ),
        ("Which lamp of the signal tower is on?", "Which lamp is lit?"),
    ),
    "lamp state": Wordings(
        (
            "Is the {} lamp on?",
            "Is the {} lamp lit?",
            "Is the {} lamp of the signal tower on?",
            "Is the {} light on?",
        ),
        ("Is the {} lamp of the signal tower lit?", "Is the {} light lit?"),
    ),
    "label text": Wordings(
        (
            "What is the {} on the label?",
            "What does the label say?",
            "What is the {}?",
            "Which {} is printed on the label?",
            "Read the {}.",
            "Read the label.",
        ),
        ("What {} is on the label?", "Read the {} on the label."),
    ),
    "label kind": Wordings(
        (
            "What kind of number is on the label?",
            "What kind of label is this?",
            "Which kind of number does the label show?",
            "What kind of number is printed on the label?",
        ),
        ("What kind of number does the label show?", "Which kind of number is on the label?"),
    ),
    "bolts missing": Wordings(
        (
            "How many bolts are missing?",
            "How many bolts are missing from the flange?",
            "What is the number of missing bolts?",
            "How many holes of the flange are empty?",
            "Count the missing bolts.",
        ),
        ("How many bolts does the flange miss?", "What is the number of bolts that are missing?"),
    ),
    "bolts in place": Wordings(
        (
            "How many bolts are in place?",
            "How many bolts does the flange have?",
            "What is the number of bolts in the flange?",
            "How many bolts can you see?",
            "Count the bolts in place.",
        ),
        ("How many bolts are in the flange?", "What is the number of bolts in place?"),
    ),
    "bolt is missing": Wordings(
        (
            "Is a bolt missing?",
            "Is any bolt of the flange missing?",
            "Is there a bolt missing from the flange?",
            "Are there missing bolts?",
        ),
        ("Is a bolt of the flange missing?", "Are any bolts missing?"),
    ),
    "defect": Wordings(
        (
            "Which defect does the plate have?",
            "What kind of defect is on the plate?",
            "What is wrong with the metal plate?",
            "Which kind of defect can you see?",
            "What defect is there?",
        ),
        ("What defect does the metal plate have?", "Which defect is on the plate?"),
    ),
    "defect is there": Wordings(
        (
            "Is there a defect?",
            "Does the plate have a defect?",
            "Is there a defect on the plate?",
            "Is the metal plate damaged?",
        ),
        ("Is there a defect on the metal plate?", "Is the plate damaged?"),
    ),
    "defect place": Wordings(
        (
            "Where is the defect?",
            "Where on the plate is the defect?",
            "In which part of the plate is the defect?",
            "Which part of the plate is damaged?",
            "Where is the defect on the plate?",
            "Where is the plate damaged?",
            "On which side of the plate is the defect?",
            "Where do you see the defect?",
        ),
        ("Where on the metal plate is the defect?", "In which part of the metal plate is the defect?"),
    ),
    "presence": Wordings(
        (
            "Is there a {} in the image?",
            "Can you see a {}?",
            "Does the image show a {}?",
            "Is there a {}?",
        ),
        ("Is a {} in the image?", "Can you see a {} in the image?"),
    ),
    "description": Wordings(
        (
            "Describe the image.",
            "What is in the image?",
            "What does the image show?",
            "What is this?",
            "Describe what you see.",
        ),
        ("What can you see in the image?", "Describe this image."),
    ),
}

# what is asked of a device that is not there
ABSENT = {
    "display": ("display reading", "digit colour"),
    "dial gauge": ("gauge reading", "red zone"),
    "signal tower": ("lit lamp", "lamp state"),
    "label": ("label text", "label kind"),
    "flange": ("bolts missing", "bolts in place", "bolt is missing"),
    "metal plate": ("defect", "defect is there", "defect place"),
}
SUBJECTS = {"label text": LABEL_KINDS, "lamp state": LAMPS}

Words = Literal["templates", "varied", "held out"]
"""Which wordings: the trained ones, those and many more, or the ones that are never trained on."""


def ask(random: Random, fact: Fact, *, words: Words) -> Question:
    """The fact in one of its wordings; a third of the short-answer questions end with the suffix."""
    text = _choose(random, fact.family, words).format(fact.subject)
    if words != "held out":
        text = casual(random, text)
    if fact.family != "description":
        text = suffixed(random, text)
    return Question(fact.family, text, fact.answer)


def presence(random: Random, shown: Sequence[str]) -> Fact:
    """Yes and no in equal parts over all scenes, one in eight of which is empty."""
    if shown and random.random() < 4 / 7:
        return Fact("presence", THINGS[random.choice(shown)], "yes")
    if random.random() < 0.2:
        return Fact("presence", random.choice(OBJECTS), "no")
    return Fact("presence", THINGS[_absent(random, shown)], "no")


def unanswerable(random: Random, shown: Sequence[str], *, words: Words) -> Question:
    """A question about something else: half unrelated, half about a device that is not in the picture."""
    if random.random() < 0.5:
        text = unrelated_question(random, held_out=words == "held out")
    else:
        family = random.choice(ABSENT[_absent(random, shown)])
        subject = random.choice(SUBJECTS.get(family, ("",)))
        text = _choose(random, family, words).format(subject)
    if words != "held out":
        text = casual(random, text)
    return Question("unanswerable", suffixed(random, text), UNANSWERABLE)


def _absent(random: Random, shown: Sequence[str]) -> str:
    return random.choice([name for name in THINGS if name not in shown])


def _choose(random: Random, family: str, words: Words) -> str:
    wordings = WORDINGS[family]
    if words == "held out":
        return random.choice(wordings.held_out)
    if words == "templates" or random.random() < 0.25:
        return random.choice(wordings.trained)
    while (text := varied(random, family)) in wordings.held_out:
        pass
    return text


def casual(random: Random, text: str) -> str:
    """One question in eight as somebody types it in a hurry."""
    if random.random() < 7 / 8:
        return text
    return (text[0].lower() + text[1:]).rstrip("?.")


def suffixed(random: Random, text: str) -> str:
    return text + SUFFIX if random.random() < 1 / 3 else text
