"""Reads the benchmarks' files as they are published. Knows no benchmark."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from edgevlm.errors import CommandError
from edgevlm.evaluation.published.question import Question


def read_json(path: Path) -> Any:
    """Raises `CommandError`, as all of this file."""
    try:
        return json.loads(_text(path))
    except ValueError:
        raise CommandError(f"{path} is not JSON.") from None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """JSON, one object a line."""
    try:
        return [json.loads(line) for line in _text(path).split("\n") if line.strip()]
    except ValueError:
        raise CommandError(f"{path} is not one JSON object a line.") from None


def read_table(path: Path) -> Iterator[dict[str, str]]:
    """Values separated by tabs, under the names in the first line; a picture makes a very long value."""
    csv.field_size_limit(sys.maxsize)
    yield from csv.DictReader(io.StringIO(_text(path), newline=""), delimiter="\t")


def read_picture(path: Path) -> bytes:
    """The file as it is."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None


def line_questions(questions: Path, pictures: Path) -> list[Question]:
    """Of a file with `question_id`, `image` and `text`, the layout of four of the six."""
    return [
        Question(line["question_id"], line["text"], line["text"], partial(read_picture, pictures / line["image"]))
        for line in map(_whole, read_lines(questions))
    ]


def _whole(line: dict[str, Any]) -> dict[str, Any]:
    for key in ("question_id", "image", "text"):
        if key not in line:
            raise CommandError(f"A question has no {key!r}: {json.dumps(line)[:200]}")
    return line


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"{path} is not UTF-8.") from None
