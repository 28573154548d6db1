"""ScienceQA: school questions with options, about half of them with a picture; the score is that of those.

Folder: `llava_test_CQM-A.json`, `problems.json`, `images/test/`. Of several versions of the scorer, this is the one
that reads an answer most strictly and guesses nothing.
"""

import io
import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from edgevlm.errors import CommandError
from edgevlm.evaluation.published import data as files
from edgevlm.evaluation.published.question import (
    LETTER,
    LETTER_SUFFIX,
    Answer,
    Judged,
    Paired,
    Question,
    Unit,
    Units,
    mean_points,
)

TITLE = "ScienceQA test, accuracy of questions with a picture"
TOKENS = LETTER
PAIRED: Paired = "answers"

LETTERS = "ABCDE"
FAILED = "none"
STATED = re.compile(r"The answer is ([A-Z]).")
WITH_PICTURE, WITHOUT = "with picture", "without picture"


def questions(data: Path) -> list[Question]:
    found = []
    for line in files.read_json(data / "llava_test_CQM-A.json"):
        asked = line["conversations"][0]["value"].replace("<image>", "").strip() + LETTER_SUFFIX
        picture = partial(square, data / "images/test" / line["image"]) if "image" in line else None
        found.append(Question(line["id"], f"<image>\n{asked}" if picture else asked, asked, picture))
    return found


def square(path: Path) -> bytes:
    """The middle of a picture, as upstream's generator cuts this benchmark's and no others; without loss."""
    with Image.open(io.BytesIO(files.read_picture(path))) as image:
        side = min(image.size)
        left, top = ((length - side) // 2 for length in image.size)
        middle = image.convert("RGB").crop((left, top, left + side, top + side))
    file = io.BytesIO()
    middle.save(file, "PNG")
    return file.getvalue()


def judged(data: Path, answers: Sequence[Answer]) -> Units:
    problems = files.read_json(data / "problems.json")
    units = {}
    for answer in answers:
        name = str(answer.question.id)
        if name not in problems:
            raise CommandError(f"{data / 'problems.json'} has no problem {name}.")
        problem = problems[name]
        said = letter(answer.text, len(problem["choices"]))
        truth = LETTERS[problem["answer"]]
        category = WITH_PICTURE if "<image>" in answer.question.prompt else WITHOUT
        units[name] = (Judged(category, said, truth, float(said == truth)),)
    return units


def letter(text: str, choices: int) -> str:
    """`B`, or what begins with `B. `, or what says once that the answer is B; only letters of options count."""
    stated = STATED.findall(text)
    if text in LETTERS and len(text) == 1:
        found = text
    elif len(text) >= 3 and text[0] in LETTERS and text[1:3] == ". ":
        found = text[0]
    else:
        found = stated[0] if len(stated) == 1 else FAILED
    return found if found in LETTERS[:choices] else FAILED


def headline(units: Iterable[Unit]) -> float:
    return mean_points(unit for unit in units if unit[0].category == WITH_PICTURE)


def rows(units: Iterable[Unit]) -> list[tuple[str, str]]:
    units = list(units)
    return [(f"accuracy, {WITH_PICTURE}", f"{headline(units):.2f}"), ("accuracy, all", f"{mean_points(units):.2f}")]
