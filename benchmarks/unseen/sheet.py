"""All pictures side by side with question, truth and answer, as one PNG for people's eyes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from benchmarks.unseen.fonts import SANS, font
from benchmarks.unseen.tally import Result

SIDE, TEXT, COLUMNS = 300, 62, 6


def write_sheet(path: Path, pictures: Sequence[Image.Image], results: Sequence[Result]) -> None:
    """Six in a row, a picture to each result."""
    rows = -(-len(results) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * SIDE, rows * (SIDE + TEXT)), (255, 255, 255))
    draw, face = ImageDraw.Draw(sheet), font(SANS[0], 15)
    for number, (picture, result) in enumerate(zip(pictures, results, strict=True)):
        left, top = number % COLUMNS * SIDE, number // COLUMNS * (SIDE + TEXT)
        small = picture.copy()
        small.thumbnail((SIDE - 8, SIDE - 8))
        sheet.paste(small, (left, top))
        said = f"{result.said.text} ({result.outcome}, {result.said.confidence:.2f})"
        for index, line in enumerate((result.family, result.text, f"{result.truth}  →  {said}")):
            draw.text((left + 2, top + SIDE + 20 * index), line, (0, 0, 0), face)
    sheet.save(path)
