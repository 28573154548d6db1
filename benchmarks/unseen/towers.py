"""Signal towers as they stand on machines: lamps one on another, one of them lit or none."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from PIL import Image, ImageDraw, ImageFilter

from benchmarks.unseen.canvas import Colour, finished, photographed, wall
from benchmarks.unseen.question import Question, Truth

OFF: dict[str, Colour] = {"red": (118, 26, 24), "amber": (128, 82, 22), "green": (22, 92, 48)}
LIT: dict[str, Colour] = {"red": (255, 60, 45), "amber": (255, 190, 60), "green": (80, 250, 130)}
POLES: tuple[Colour, ...] = ((40, 42, 44), (190, 192, 194), (230, 230, 226))


def lit_lamps(random: Random, family: str, *, photo: bool = False) -> Iterator[Question]:
    """Endless: which lamp is on, or whether one is."""
    while True:
        lit = random.choice((*LIT, "none"))
        picture = drawn(random, lit)
        picture = photographed(picture, random, 0.8) if photo else picture
        asked = random.choice(tuple(LIT))
        yield random.choice(
            (
                Question(family, picture, "Which lamp is on?", Truth((lit,))),
                Question(family, picture, "Which lamp of the signal tower is lit?", Truth((lit,))),
                Question(family, picture, f"Is the {asked} lamp on?", Truth(("yes" if asked == lit else "no",))),
            )
        )


def drawn(random: Random, lit: str) -> Image.Image:
    """A tower in front of a wall; `lit` is a lamp's colour or `none`."""
    picture = wall(random, random.choice((360, 480, 640)), 480)
    tall = random.uniform(0.55, 0.8) * picture.height
    wide = tall * random.uniform(0.24, 0.36)
    left = random.uniform(0.05 * picture.width, 0.95 * picture.width - wide)
    top = random.uniform(0.04, 0.12) * picture.height
    if lit in LIT:
        _glow(picture, (left, top, wide, tall), lit)
    draw, pole = ImageDraw.Draw(picture), random.choice(POLES)
    middle = left + wide / 2
    draw.rectangle((middle - wide * 0.12, top + tall * 0.85, middle + wide * 0.12, picture.height), pole)
    draw.rounded_rectangle((left + wide * 0.2, top - tall * 0.03, left + wide * 0.8, top + tall * 0.05), 8, pole)
    for number, colour in enumerate(OFF):
        _lamp(draw, (left, top + tall * (0.04 + 0.28 * number), wide, tall * 0.27), colour, colour == lit, pole)
    draw.rectangle((left, top + tall * 0.88, left + wide, top + tall * 0.95), pole)
    return finished(picture)


def _lamp(
    draw: ImageDraw.ImageDraw, place: tuple[float, float, float, float], colour: str, lit: bool, pole: Colour
) -> None:
    """A ribbed drum under a dark ring; a lit one is bright, and brightest in its middle."""
    left, top, wide, tall = place
    body = LIT[colour] if lit else OFF[colour]
    draw.rectangle((left, top, left + wide, top + tall), body)
    for rib in range(1, 6):
        x = left + wide * rib / 6
        dark = tuple(int(part * 0.85) for part in body)
        draw.line((x, top, x, top + tall), dark, max(int(wide * 0.02), 1))
    if lit:
        white = tuple((part + 2 * 255) // 3 for part in body)
        draw.ellipse((left + wide * 0.3, top + tall * 0.15, left + wide * 0.7, top + tall * 0.85), white)
    draw.rectangle((left, top + tall * 0.95, left + wide, top + tall * 1.04), pole)


def _glow(picture: Image.Image, place: tuple[float, float, float, float], lit: str) -> None:
    """Light of the lamp on the wall behind it."""
    left, top, wide, tall = place
    y = top + tall * (0.04 + 0.28 * list(LIT).index(lit) + 0.135)
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).ellipse((left - wide * 0.35, y - wide * 0.8, left + wide * 1.35, y + wide * 0.8), 120)
    picture.paste(LIT[lit], (0, 0), mask.filter(ImageFilter.GaussianBlur(wide * 0.25)))
