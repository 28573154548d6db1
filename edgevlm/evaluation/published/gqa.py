"""GQA: short answers about scenes, compared word for word. The balanced part of testdev.

Folder: `llava_gqa_testdev_balanced.jsonl`, `testdev_balanced_questions.json`, `images/`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from edgevlm.errors import CommandError
from edgevlm.evaluation.published import data as files
from edgevlm.evaluation.published.question import SHORT, Answer, Judged, Paired, Question, Unit, Units, mean_points

TITLE = "GQA testdev-balanced, accuracy"
TOKENS = SHORT
PAIRED: Paired = "answers"

TRUTH = "testdev_balanced_questions.json"


def questions(data: Path) -> list[Question]:
    return files.line_questions(data / "llava_gqa_testdev_balanced.jsonl", data / "images")


def judged(data: Path, answers: Sequence[Answer]) -> Units:
    truth = files.read_json(data / TRUTH)
    units = {}
    for answer in answers:
        name = str(answer.question.id)
        if name not in truth:
            raise CommandError(f"{data / TRUTH} has no question {name}.")
        asked = truth[name]
        said = normal(answer.text)
        kind = asked.get("types", {}).get("structural", "query")
        category = "open" if kind == "query" else "binary"
        units[name] = (Judged(category, said, asked["answer"], float(said == asked["answer"])),)
    return units


def normal(text: str) -> str:
    """Without dots at the end, in lower case; nothing else is forgiven."""
    return text.rstrip(".").lower()


def headline(units: Iterable[Unit]) -> float:
    return mean_points(units)


def rows(units: Iterable[Unit]) -> list[tuple[str, str]]:
    units = list(units)
    kinds = {kind: [unit for unit in units if unit[0].category == kind] for kind in ("binary", "open")}
    parts = [(f"{kind} questions", f"{mean_points(chosen):.2f}") for kind, chosen in kinds.items() if chosen]
    return [("accuracy", f"{headline(units):.2f}"), *parts]
