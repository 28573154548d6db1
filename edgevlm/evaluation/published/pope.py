"""POPE: is an object there? Yes or no, in three kinds of questions; the score is the mean of their F1.

Folder: `llava_pope_test.jsonl`, `coco/coco_pope_random.json` and its siblings, `val2014/`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from edgevlm.errors import CommandError
from edgevlm.evaluation.published import data as files
from edgevlm.evaluation.published.question import SHORT, Answer, Judged, Paired, Question, Unit, Units, by_category

TITLE = "POPE, mean F1 of three categories"
TOKENS = SHORT
PAIRED: Paired = "answers"

QUESTIONS = "llava_pope_test.jsonl"


def questions(data: Path) -> list[Question]:
    return files.line_questions(data / QUESTIONS, data / "val2014")


def judged(data: Path, answers: Sequence[Answer]) -> Units:
    """A unit is what was asked about one picture in one category."""
    labels = _labels(data)
    units: dict[str, Unit] = {}
    for answer in answers:
        category, picture, truth = labels[answer.question.id, answer.question.prompt]
        said = normal(answer.text)
        name = f"{category}/{picture}"
        units[name] = (*units.get(name, ()), Judged(category, said, truth, float(said == truth)))
    return units


def _labels(data: Path) -> dict[tuple[object, str], tuple[str, str, str]]:
    """Category, picture and label of every question: of files that have only the order in a category in common."""
    lines = files.read_lines(data / QUESTIONS)
    labels = {}
    for category in dict.fromkeys(line["category"] for line in lines):
        asked = [line for line in lines if line["category"] == category]
        path = data / "coco" / f"coco_pope_{category}.json"
        truth = files.read_lines(path)
        if len(truth) != len(asked):
            raise CommandError(f"{path} has {len(truth)} labels for the {len(asked)} questions in {QUESTIONS}.")
        for line, label in zip(asked, truth, strict=True):
            labels[line["question_id"], line["text"]] = (
                category,
                line["image"],
                "no" if label["label"] == "no" else "yes",
            )
    return labels


def normal(text: str) -> str:
    """No, if the first sentence has a word of denial; yes otherwise, whatever it says."""
    words = text.partition(".")[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(words) else "yes"


class Shares(NamedTuple):
    """Of one category, 0 to 1; where nothing was found, what has no value counts as 0."""

    f1: float
    accuracy: float
    precision: float
    recall: float
    yes: float


def shares(units: Iterable[Unit]) -> Shares:
    pairs = [(answer.said, answer.truth) for unit in units for answer in unit]
    found = pairs.count(("yes", "yes"))
    said, true = (sum(pair[side] == "yes" for pair in pairs) for side in (0, 1))
    precision = found / said if said else 0.0
    recall = found / true if true else 0.0
    f1 = 2 * precision * recall / (precision + recall) if found else 0.0
    return Shares(f1, sum(a == b for a, b in pairs) / len(pairs), precision, recall, said / len(pairs))


def headline(units: Iterable[Unit]) -> float:
    scores = [shares(chosen).f1 for chosen in by_category(units).values()]
    return 100 * sum(scores) / len(scores) if scores else 0.0


def rows(units: Iterable[Unit]) -> list[tuple[str, str]]:
    units = list(units)
    parts = []
    for category, chosen in by_category(units).items():
        for name, share in zip(Shares._fields, shares(chosen), strict=True):
            parts.append((f"{category}, {'answered yes' if name == 'yes' else name}", f"{100 * share:.2f}"))
    return [("mean F1", f"{headline(units):.2f}"), *parts]
