"""What an evaluation leaves behind: JSON lines for programs, a page of pictures for people. Knows no engine."""

import base64
import html
import io
import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgevlm.errors import CommandError
from edgevlm.evaluation.calibration import Judged
from edgevlm.evaluation.forms import REFUSAL, same_number
from edgevlm.evaluation.said import Said
from edgevlm.evaluation.ways import Outcome

if TYPE_CHECKING:
    from edgevlm_demo.evaluation import EvaluationQuestion


class Record(NamedTuple):
    """One question of one set, and what was said."""

    set: str
    question: "EvaluationQuestion"
    said: Said

    @property
    def right(self) -> bool:
        from edgevlm_demo.evaluation import is_right

        return is_right(self.said.text, self.question.answer)

    @property
    def judged(self) -> Judged:
        """For calibration; all questions about a picture are in the same half."""
        return Judged(self.right, self.said.confidence, self.question.seed % 2, self.said.curve)

    @property
    def outcome(self) -> Outcome:
        """For a comparison of forms: numbers are compared as numbers, since JSON has no `2.90`."""
        from edgevlm_demo.evaluation import is_right

        truth = self.question.answer
        right = self.right or same_number(self.said.text, truth)
        return Outcome(self.question.family, is_right(REFUSAL, truth), right, self.said.refused)


STYLE = """
body { font: 14px sans-serif; margin: 2em; }
main { display: flex; flex-wrap: wrap; gap: 1em; }
figure { margin: 0; width: 22em; border: 1px solid #ccc; padding: .5em; }
img { height: 168px; max-width: 100%; object-fit: contain; }
p { margin: .3em 0; }
.wrong { background: #fdd; }
"""


def write_answers(path: Path, records: Sequence[Record]) -> None:
    """Every question, answer and picture seed, one JSON object a line. Raises `CommandError`."""
    lines = (
        json.dumps(
            {
                "set": record.set,
                "scene": record.question.scene,
                "seed": record.question.seed,
                "family": record.question.family,
                "question": record.question.text,
                "answer": record.said.text,
                "confidence": round(record.said.confidence, 6),
                "truth": record.question.answer,
                "right": record.right,
            },
            ensure_ascii=False,
        )
        for record in records
    )
    _write(path, "".join(f"{line}\n" for line in lines))


def write_sheet(path: Path, records: Sequence[Record]) -> None:
    """A page with every picture and its answers, the wrong ones marked; pictures are inside the file."""
    wrong = sum(not record.right for record in records)
    figures = "".join(_figures(records))
    _write(
        path,
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Evaluation</title><style>{STYLE}</style>"
        f"<h1>{len(records)} questions, {wrong} wrong</h1><main>{figures}</main></html>\n",
    )


def _figures(records: Sequence[Record]) -> Iterator[str]:
    pictures = groupby(records, key=lambda record: (record.set, record.question.scene, record.question.seed))
    for (name, scene, seed), group in pictures:
        asked = list(group)
        lines = "".join(_line(record) for record in asked)
        caption = html.escape(f"{name}: {scene} {seed}")
        yield f"<figure><img alt='' src='{_data_url(asked[0])}'><figcaption>{caption}</figcaption>{lines}</figure>"


def _line(record: Record) -> str:
    question, said, truth = (
        html.escape(text) for text in (record.question.text, record.said.text, record.question.answer)
    )
    if record.right:
        return f"<p>{question}<br><b>{said}</b></p>"
    return f"<p class=wrong>{question}<br><b>{said}</b> &ne; {truth}</p>"


def _data_url(record: Record) -> str:
    file = io.BytesIO()
    record.question.image.save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
