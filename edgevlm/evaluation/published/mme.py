"""MME: two questions about each picture, one with the answer yes, one with no, in 14 subtasks.

Folder: `llava_mme.jsonl`, and `images/` with a folder for each subtask that also holds the questions with their
answers, beside the pictures or in `questions_answers_YN/`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from edgevlm.errors import CommandError
from edgevlm.evaluation.published import data as files
from edgevlm.evaluation.published.question import (
    SHORT,
    Answer,
    Judged,
    Paired,
    Question,
    Unit,
    Units,
    by_category,
    mean_points,
)

TITLE = "MME, perception (at most 2000)"
TOKENS = SHORT
PAIRED: Paired = "answers"

PERCEPTION = (
    *("existence", "count", "position", "color", "posters"),
    *("celebrity", "scene", "landmark", "artwork", "OCR"),
)
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
SUFFIX = "Answer the question using a single word or phrase."
OWN_SUFFIX = " Please answer yes or no."
WITH_LABELS = "questions_answers_YN"


def questions(data: Path) -> list[Question]:
    return files.line_questions(data / "llava_mme.jsonl", data / "images")


def judged(data: Path, answers: Sequence[Answer]) -> Units:
    """A unit is a picture with its two questions."""
    truth = _labels(data / "images")
    units: dict[str, Unit] = {}
    for answer in answers:
        name = str(answer.question.id)
        category, stem = name.partition("/")[0], name.rpartition("/")[2].partition(".")[0]
        label = _label(truth, category, stem, answer.question.prompt)
        said = normal(answer.text)
        key = f"{category}/{stem}"
        units[key] = (*units.get(key, ()), Judged(category, said, label, float(said == label)))
    return units


def _labels(folder: Path) -> dict[tuple[str, str, str], str]:
    """By subtask, name of the picture without its ending, and question."""
    labels = {}
    for path in sorted([*folder.glob("*/*.txt"), *folder.glob(f"*/{WITH_LABELS}/*.txt")]):
        for line in path.read_text(encoding="utf-8").splitlines():
            question, tab, label = line.strip().rpartition("\t")
            if tab:
                labels[path.relative_to(folder).parts[0], path.stem, question] = label.strip().lower()
    return labels


def _label(truth: dict[tuple[str, str, str], str], category: str, stem: str, prompt: str) -> str:
    """The data set's own wording has another instruction, behind one space or two."""
    question = prompt.replace(SUFFIX, "").strip()
    for wording in (question, question + OWN_SUFFIX, f"{question} {OWN_SUFFIX}"):
        if (category, stem, wording) in truth:
            return truth[category, stem, wording]
    raise CommandError(f"MME has no answer to {question!r} about {category}/{stem}.")


def normal(text: str) -> str:
    """Yes, no, or other, which is always wrong: in the first four characters a `yes` comes before a `no`."""
    start = text.replace("\t", " ").replace("\n", " ").lower()
    start = start if start in ("yes", "no") else start[:4]
    return next((word for word in ("yes", "no") if word in start), "other")


def subtasks(units: Iterable[Unit]) -> dict[str, float]:
    """Accuracy, of answers, and accuracy+, of pictures with both right, together at most 200."""
    scores = {}
    for category, chosen in by_category(units).items():
        both = sum(all(answer.points for answer in unit) for unit in chosen)
        scores[category] = mean_points(chosen) + 100 * both / len(chosen)
    return scores


def headline(units: Iterable[Unit]) -> float:
    scores = subtasks(units)
    return sum(scores.get(name, 0.0) for name in PERCEPTION)


def rows(units: Iterable[Unit]) -> list[tuple[str, str]]:
    units = list(units)
    scores = subtasks(units)
    cognition = sum(scores.get(name, 0.0) for name in COGNITION)
    parts = [(name, f"{scores[name]:.2f}") for name in (*PERCEPTION, *COGNITION) if name in scores]
    return [("perception", f"{headline(units):.2f}"), ("cognition", f"{cognition:.2f}"), *parts]
