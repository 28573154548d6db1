"""All pictures side by side with question, truth and answer, as one PNG for people's eyes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from benchmarks.unseen.fonts import SANS, font
from benchmarks.unseen.question import Question

SIDE, TEXT, COLUMNS = 300, 62, 6


def write_sheet(path: Path, questions: Sequence[Question], said: Sequence[str] | None = None) -> None:
    """Six in a row; `said` holds an answer to each question."""
    rows = -(-len(questions) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * SIDE, rows * (SIDE + TEXT)), (255, 255, 255))
    draw, face = ImageDraw.Draw(sheet), font(SANS[0], 15)
    for number, question in enumerate(questions):
        left, top = number % COLUMNS * SIDE, number // COLUMNS * (SIDE + TEXT)
        picture = question.image.copy()
        picture.thumbnail((SIDE - 8, SIDE - 8))
        sheet.paste(picture, (left, top))
        lines = [question.family, question.text, str(question.truth)]
        if said is not None:
            lines[-1] += f"  →  {said[number]}"
        for index, line in enumerate(lines):
            draw.text((left + 2, top + SIDE + 20 * index), line, (0, 0, 0), face)
    sheet.save(path)
