"""A file of answers as the official scorers read it: JSON lines, one more with every answer. Knows no server."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from edgevlm.errors import CommandError
from edgevlm.evaluation.published.question import Answer, Id, Question

Key = tuple[Id, str]
"""A question's number and its prompt, since many share a number."""


class Known:
    """Answers of earlier runs."""

    def __init__(self, texts: dict[Key, str]) -> None:
        self._texts = texts

    def __contains__(self, question: Question) -> bool:
        return _key(question) in self._texts

    def __getitem__(self, question: Question) -> str:
        return self._texts[_key(question)]


class AnswerFile:
    """Every method raises `CommandError` where the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, model: str) -> Known:
        """What is there; nothing where there is no file. Answers of another model are refused."""
        texts = {}
        for line in self._lines():
            if line.model != model:
                raise CommandError(
                    f"{self._path} holds answers of {line.model}, not of {model}: choose another file."
                )
            texts[line.key] = line.text
        return Known(texts)

    def add(self, model: str, answer: Answer) -> None:
        """Written before the next one is asked."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line(model, answer))
        except OSError as error:
            raise CommandError(f"{self._path} cannot be written: {error.strerror}.") from None

    def arrange(self, questions: Sequence[Question]) -> None:
        """Answers to these first, in their order, which one of the official scorers relies on; then all others."""
        lines = {line.key: line.raw for line in self._lines()}
        first = [_key(question) for question in questions]
        others = lines.keys() - set(first)
        ordered = [lines[key] for key in first] + [raw for key, raw in lines.items() if key in others]
        part = self._path.with_name(f"{self._path.name}.part")
        try:
            part.write_text("".join(f"{raw}\n" for raw in ordered), encoding="utf-8")
            os.replace(part, self._path)
        except OSError as error:
            raise CommandError(f"{self._path} cannot be written: {error.strerror}.") from None

    def _lines(self) -> Iterator["_Line"]:
        try:
            lines = self._path.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{self._path} cannot be read: {error}.") from None
        if rest := lines.pop():
            # the process ended while it wrote; that question is asked again
            os.truncate(self._path, self._path.stat().st_size - len(rest.encode()))
        for line in lines:
            try:
                parsed = json.loads(line)
                key = parsed["question_id"], parsed["prompt"]
                yield _Line(key, parsed["text"], parsed["model_id"], line)
            except (ValueError, LookupError, TypeError):
                raise CommandError(f"{self._path} holds a line that is no answer: {line[:100]!r}.") from None


class _Line(NamedTuple):
    """What is needed of one, and `raw`, all of it."""

    key: Key
    text: str
    model: str
    raw: str


def _key(question: Question) -> Key:
    return question.id, question.prompt


def _line(model: str, answer: Answer) -> str:
    question = answer.question
    line: dict[str, Any] = {
        "question_id": question.id,
        "prompt": question.prompt,
        "text": answer.text,
        "answer_id": uuid4().hex,
        "model_id": model,
        "metadata": {},
    }
    return json.dumps(line, ensure_ascii=False) + "\n"
