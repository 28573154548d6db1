"""Pipe flanges seen from the front: a ring of holes, with or without bolts in them."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from PIL import Image, ImageDraw

from benchmarks.unseen.canvas import SCALE, Colour, Point, around, box, finished, photographed, wall
from benchmarks.unseen.question import Question, Truth

STEELS: tuple[Colour, ...] = ((150, 154, 158), (110, 116, 122), (60, 96, 150), (140, 96, 70), (176, 178, 174))


def flanges(random: Random, family: str, *, photo: bool = False) -> Iterator[Question]:
    """Endless: how many bolts are missing or in place."""
    while True:
        holes = random.randint(4, 8)
        missing = random.choice((0, 0, 1, 1, 2, 3))
        picture = drawn(random, holes, missing)
        picture = photographed(picture, random, 0.8) if photo else picture
        yield random.choice(
            (
                Question(family, picture, "How many bolts are missing?", Truth((str(missing),))),
                Question(family, picture, "How many bolts are in place?", Truth((str(holes - missing),))),
                Question(family, picture, "Is a bolt missing?", Truth(("yes" if missing else "no",))),
            )
        )


def drawn(random: Random, holes: int, missing: int) -> Image.Image:
    """A flange in front of a wall, `missing` of its `holes` empty."""
    picture = wall(random, random.choice((480, 600)), 480)
    radius = random.uniform(0.34, 0.45) * 480 * SCALE
    slack = picture.height / 2 - radius
    centre = (picture.width / 2 + random.uniform(-slack, slack), picture.height / 2 + random.uniform(-slack, slack))
    draw, steel = ImageDraw.Draw(picture), random.choice(STEELS)
    dark, bright = tuple(int(part * 0.55) for part in steel), tuple(min(part + 35, 255) for part in steel)
    draw.ellipse(box((centre[0] + radius * 0.03, centre[1] + radius * 0.04), radius), dark)
    draw.ellipse(box(centre, radius), steel, dark, 4)
    draw.ellipse(box(centre, radius * 0.5), bright, dark, 4)
    draw.ellipse(box(centre, radius * random.uniform(0.28, 0.4)), (18, 18, 20), dark, 6)
    empty, turn = set(random.sample(range(holes), missing)), random.uniform(0, 360)
    nut = random.choice(((205, 208, 210), (60, 62, 66), (190, 160, 90)))
    for number in range(holes):
        place = around(centre, radius * 0.76, turn + number * 360 / holes)
        if number in empty:
            draw.ellipse(box(place, radius * 0.085), (12, 12, 14), dark, 3)
        else:
            _bolt(draw, place, radius * 0.13, nut, random.uniform(0, 60))
    return finished(picture)


def _bolt(draw: ImageDraw.ImageDraw, place: Point, size: float, colour: Colour, turn: float) -> None:
    """A washer, a hexagon and the round of its top."""
    edge = tuple(int(part * 0.6) for part in colour)
    draw.ellipse(box(place, size * 1.12), tuple(int(part * 0.85) for part in colour), edge, 3)
    draw.polygon([around(place, size, turn + 60 * corner) for corner in range(6)], colour, edge, 3)
    draw.ellipse(box(place, size * 0.55), tuple(min(part + 20, 255) for part in colour), edge, 2)
