"""MMBench: questions with up to four options, each asked again with its options rotated. The English dev part.

Folder: `mmbench_dev_en_20231003.tsv`, which holds the pictures too. A question counts if all of its rotations are
right (CircularEval); the share of single rows is told beside it. No judge model is asked: an answer that the rules
cannot read is wrong.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

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

TITLE = "MMBench dev (English), all rotations right"
TOKENS = LETTER
PAIRED: Paired = "units"

TABLE = "mmbench_dev_en_20231003.tsv"
LETTERS = "ABCD"
ROTATED = 1_000_000
"""The copies of a question have its number and a multiple of this."""

FAILED = "none"
EMPTY = {"", "#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "NA", "NULL", "n/a", "null"}
"""What the official reader of tables takes for no value; `Na` is sodium."""
EMPTY_IN_ANY_CASE = {"nan", "-nan", "none"}
"""What its generator leaves out beside that."""

BESIDE_A_LETTER = re.compile(r"[.()\[\],:;!*#{}]")
LAST_WORDS = 4
QUANTIFIER_WORDS = 3
"""In a longer answer an `A` may be the article."""


def questions(data: Path) -> list[Question]:
    return [_question(row) for row in _rows(data)]


def _rows(data: Path) -> Iterator[dict[str, str]]:
    wanted = {"index", "question", "answer", "image", *LETTERS}
    for row in files.read_table(data / TABLE):
        if not wanted <= row.keys():
            raise CommandError(f"{data / TABLE} lacks the columns {', '.join(sorted(wanted - row.keys()))}.")
        yield row


def _question(row: dict[str, str]) -> Question:
    prompt = row["question"] if _empty(row.get("hint", "")) else f"{row['hint']}\n{row['question']}"
    for name, option in _offered(row).items():
        prompt += f"\n{name}. {option}"
    return Question(int(row["index"]), prompt, prompt + LETTER_SUFFIX, partial(base64.b64decode, row["image"]))


def _offered(row: dict[str, str]) -> dict[str, str]:
    """The options up to the first that is empty, as upstream's generator lists them."""
    offered = {}
    for name in LETTERS:
        if _empty(row[name]):
            break
        offered[name] = row[name]
    return offered


def _empty(value: str | None) -> bool:
    return value is None or value in EMPTY or value.lower() in EMPTY_IN_ANY_CASE


def judged(data: Path, answers: Sequence[Answer]) -> Units:
    """A unit is a question with all of its rotations."""
    table = {int(row["index"]): row for row in _rows(data)}
    units: dict[str, Unit] = {}
    for answer in answers:
        number = int(answer.question.id)
        row = table[number]
        options = {name: row[name] for name in LETTERS if not _empty(row[name])}
        said = letter(answer.text, options) or FAILED
        name = str(number % ROTATED)
        result = Judged(row.get("category", ""), said, row["answer"], float(said == row["answer"]))
        units[name] = (*units.get(name, ()), result)
    return units


def letter(text: str, options: dict[str, str]) -> str | None:
    """The option that is meant, by its letter or else by its text; `None` if that is not one."""
    words = BESIDE_A_LETTER.sub(" ", text).split()
    named = [name for name in options if name in words]
    article = "A" in words and len(words) > QUANTIFIER_WORDS
    if len(named) == 1 and not article and words.index(named[0]) >= len(words) - LAST_WORDS:
        return named[0]
    if len(text) > 2 * sum(map(len, options.values())):
        return None
    told = [name for name, option in options.items() if option.lower() in text.lower()]
    return told[0] if len(told) == 1 else None


def headline(units: Iterable[Unit]) -> float:
    whole = [all(answer.points for answer in unit) for unit in units]
    return 100 * sum(whole) / len(whole) if whole else 0.0


def rows(units: Iterable[Unit]) -> list[tuple[str, str]]:
    units = list(units)
    return [("all rotations right", f"{headline(units):.2f}"), ("single rows right", f"{mean_points(units):.2f}")]
