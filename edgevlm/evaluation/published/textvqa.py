"""TextVQA: reading in photographs, against the answers of ten people. The validation part, prompts with OCR tokens.

Folder: `llava_textvqa_val_v051_ocr.jsonl`, `TextVQA_0.5.1_val.json`, `train_images/`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from edgevlm.errors import CommandError
from edgevlm.evaluation.published import data as files
from edgevlm.evaluation.published.question import SHORT, Answer, Judged, Paired, Question, Unit, Units, mean_points
from edgevlm.evaluation.published.textvqa_words import normal

TITLE = "TextVQA validation with OCR tokens, accuracy"
TOKENS = SHORT
PAIRED: Paired = "points"

TRUTH = "TextVQA_0.5.1_val.json"
PEOPLE = 10
ENOUGH = 3
"""So many of the other nine make an answer right."""


def questions(data: Path) -> list[Question]:
    return files.line_questions(data / "llava_textvqa_val_v051_ocr.jsonl", data / "train_images")


def judged(data: Path, answers: Sequence[Answer]) -> Units:
    truth = {(entry["image_id"], entry["question"].lower()): entry for entry in files.read_json(data / TRUTH)["data"]}
    units = {}
    for answer in answers:
        key = (str(answer.question.id), asked(answer.question.prompt))
        if key not in truth:
            raise CommandError(f"{data / TRUTH} has no question {key[1]!r} about picture {key[0]}.")
        people = [normal(text) for text in truth[key]["answers"]]
        said = normal(answer.text)
        units["/".join(key)] = (Judged("", said, Counter(people).most_common(1)[0][0], agreement(said, people)),)
    return units


def asked(prompt: str) -> str:
    """The question itself, in lower case: the line before the OCR tokens and the instruction, or between them."""
    lines = prompt.split("\n")
    with_tokens = "Reference OCR token: " in prompt
    if len(lines) != (3 if with_tokens else 2):
        raise CommandError(f"A prompt of TextVQA does not have the lines that its scorer reads: {prompt[:200]!r}.")
    return lines[1 if prompt.startswith("Reference OCR token:") else 0].lower()


def agreement(said: str, people: Sequence[str]) -> float:
    """Each person is left out in turn, and three of the others who say the same are enough; the mean of that."""
    if len(people) != PEOPLE:
        raise CommandError(f"TextVQA has {PEOPLE} answers to a question, not {len(people)}.")
    same = people.count(said)
    # those who said it have one fewer beside them
    return (same * min(1, (same - 1) / ENOUGH) + (PEOPLE - same) * min(1, same / ENOUGH)) / PEOPLE if same else 0.0


def headline(units: Iterable[Unit]) -> float:
    return mean_points(units)


def rows(units: Iterable[Unit]) -> list[tuple[str, str]]:
    return [("accuracy", f"{headline(units):.2f}")]
