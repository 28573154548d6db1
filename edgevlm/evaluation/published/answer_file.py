"""A file of answers as the official scorers read it: JSON lines, one more with every answer. Knows no server."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from edgevlm.cli import CommandError
from edgevlm.evaluation.published.question import Answer, Id, Question


class Known:
    """Answers of earlier runs; a question is known by its number and its prompt, since many share a number."""

    def __init__(self, texts: dict[tuple[Id, str], str]) -> None:
        self._texts = texts

    def __contains__(self, question: Question) -> bool:
        return (question.id, question.prompt) in self._texts

    def __getitem__(self, question: Question) -> str:
        return self._texts[question.id, question.prompt]


class AnswerFile:
    """Every method raises `CommandError` where the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, model: str) -> Known:
        """What is there; nothing where there is no file. Answers of another model are refused."""
        texts = {}
        for line in self._lines():
            if line["model_id"] != model:
                raise CommandError(
                    f"{self._path} holds answers of {line['model_id']}, not of {model}: choose another file."
                )
            texts[line["question_id"], line["prompt"]] = line["text"]
        return Known(texts)

    def add(self, model: str, answer: Answer) -> None:
        """Written before the next one is asked."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line(model, answer))
        except OSError as error:
            raise CommandError(f"{self._path} cannot be written: {error.strerror}.") from None

    def arrange(self, model: str, answers: Sequence[Answer]) -> None:
        """The same answers in the order of the questions, which one of the official scorers relies on."""
        part = self._path.with_name(f"{self._path.name}.part")
        try:
            part.write_text("".join(_line(model, answer) for answer in answers), encoding="utf-8")
            os.replace(part, self._path)
        except OSError as error:
            raise CommandError(f"{self._path} cannot be written: {error.strerror}.") from None

    def _lines(self) -> Iterator[dict[str, Any]]:
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
                yield {key: parsed[key] for key in ("question_id", "prompt", "text", "model_id")}
            except (ValueError, LookupError, TypeError):
                raise CommandError(f"{self._path} holds a line that is no answer: {line[:100]!r}.") from None


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
