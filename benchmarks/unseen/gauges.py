"""Dial gauges as makers of instruments draw them: ranges, units, sweeps and looks of their catalogues."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from PIL import Image, ImageDraw

from benchmarks.unseen.canvas import SCALE, Colour, Point, around, box, finished, photographed, wall, write
from benchmarks.unseen.fonts import SANS
from benchmarks.unseen.question import Question, Truth

TEXTS = ("What does the gauge read?", "Read the gauge.", "What value does the gauge show?")


class Scale(NamedTuple):
    """From `low` to `high`, a number at each `step`, which `parts` divide."""

    low: float
    high: float
    step: float
    parts: int
    unit: str

    @property
    def division(self) -> float:
        return self.step / self.parts

    def degrees(self, value: float, sweep: float) -> float:
        """Where it lies on a dial that is open at the bottom."""
        share = (value - self.low) / (self.high - self.low)
        return 270 - sweep / 2 + share * sweep


SCALES = (
    *(Scale(0, 10, 1, 5, "bar"), Scale(0, 10, 2, 4, "bar"), Scale(0, 16, 2, 4, "bar"), Scale(0, 6, 1, 5, "bar")),
    *(Scale(0, 4, 1, 5, "bar"), Scale(0, 2.5, 0.5, 5, "bar"), Scale(0, 25, 5, 5, "bar"), Scale(0, 40, 10, 5, "bar")),
    *(Scale(0, 60, 10, 5, "bar"), Scale(0, 100, 20, 4, "bar"), Scale(0, 160, 20, 4, "bar")),
    *(
        Scale(0, 250, 50, 5, "bar"),
        Scale(0, 400, 100, 5, "bar"),
        Scale(-1, 5, 1, 5, "bar"),
        Scale(-1, 3, 1, 5, "bar"),
    ),
    *(Scale(-1, 0, 0.2, 4, "bar"), Scale(0, 100, 10, 5, "%"), Scale(0, 100, 25, 5, "%"), Scale(0, 120, 20, 4, "°C")),
    *(
        Scale(0, 200, 50, 5, "°C"),
        Scale(-20, 60, 10, 2, "°C"),
        Scale(-30, 50, 10, 5, "°C"),
        Scale(0, 300, 50, 5, "psi"),
    ),
    *(
        Scale(0, 160, 20, 4, "psi"),
        Scale(0, 600, 100, 5, "kPa"),
        Scale(0, 1, 0.2, 4, "MPa"),
        Scale(0, 50, 10, 5, "A"),
    ),
    *(Scale(0, 500, 100, 5, "V"), Scale(0, 3000, 500, 5, "rpm"), Scale(0, 1.6, 0.4, 4, "MPa")),
)
TEN = Scale(0, 10, 1, 5, "bar")


class Look(NamedTuple):
    """Colours of a dial."""

    face: Colour
    ink: Colour
    needle: Colour


LOOKS = (
    Look((250, 250, 248), (20, 20, 20), (15, 15, 15)),
    Look((250, 250, 248), (20, 20, 20), (200, 30, 25)),
    Look((245, 238, 215), (40, 30, 20), (30, 25, 20)),
    Look((22, 24, 26), (240, 240, 235), (240, 240, 235)),
    Look((22, 24, 26), (240, 240, 235), (245, 120, 20)),
    Look((225, 232, 238), (15, 35, 80), (15, 35, 80)),
)
RIMS: tuple[Colour, ...] = ((30, 30, 32), (150, 154, 158), (190, 192, 194), (170, 140, 70), (60, 70, 90))


def gauges(random: Random, family: str, *, photo: bool = False, ten: bool = False) -> Iterator[Question]:
    """Endless: one question about each; `ten` are those with the scale of the demo model's own."""
    while True:
        scale = TEN if ten else random.choice(SCALES)
        span = scale.high - scale.low
        value = random.uniform(scale.low + 0.02 * span, scale.high - 0.02 * span)
        picture = drawn(random, scale, value)
        picture = photographed(picture, random) if photo else picture
        yield Question(family, picture, random.choice(TEXTS), Truth((), value, scale.division / 2, scale.unit))


def drawn(random: Random, scale: Scale, value: float) -> Image.Image:
    """A gauge on a wall."""
    width, height = random.choice(((480, 480), (640, 480), (600, 520)))
    picture = wall(random, width, height)
    radius = random.uniform(0.33, 0.46) * height * SCALE
    slack = picture.height / 2 - radius
    centre = (
        picture.width / 2 + random.uniform(-slack, slack) * 0.7,
        picture.height / 2 + random.uniform(-slack, slack) * 0.7,
    )
    _dial(ImageDraw.Draw(picture), centre, radius, random, scale, value)
    return finished(picture)


def _dial(
    draw: ImageDraw.ImageDraw, centre: Point, radius: float, random: Random, scale: Scale, value: float
) -> None:
    look, file = random.choice(LOOKS), random.choice(SANS)
    sweep = random.choice((270, 270, 270, 240, 300, 180))
    rim = random.choice(RIMS)
    draw.ellipse(box(centre, radius), rim, tuple(int(part * 0.6) for part in rim), int(radius * 0.02) + 1)
    draw.ellipse(box(centre, radius * 0.91), look.face)
    edge = radius * random.uniform(0.78, 0.86)
    if random.random() < 0.35:
        _zone(draw, centre, edge, scale, sweep, random)
    _marks(draw, centre, edge, scale, sweep, look, file)
    below = 0.42 if sweep > 200 else 0.3
    write(draw, around(centre, radius * below, 90), scale.unit, file, radius * 0.15, look.ink)
    if random.random() < 0.5:
        write(draw, around(centre, radius * 0.3, 270), random.choice(MAKERS), file, radius * 0.09, look.ink)
    _needle(draw, centre, edge, scale.degrees(value, sweep), look, random)


MAKERS = ("NORDMESS", "Pressura", "ATK", "Kelling", "VENTO")


def _zone(draw: ImageDraw.ImageDraw, centre: Point, edge: float, scale: Scale, sweep: float, random: Random) -> None:
    """The part of the scale that is not to be used, in red."""
    start = scale.degrees(scale.high - (scale.high - scale.low) * random.uniform(0.15, 0.3), sweep)
    draw.arc(box(centre, edge), start, scale.degrees(scale.high, sweep), (210, 35, 30), int(edge * 0.05))


def _marks(
    draw: ImageDraw.ImageDraw, centre: Point, edge: float, scale: Scale, sweep: float, look: Look, file: str
) -> None:
    count = round((scale.high - scale.low) / scale.division)
    for number in range(count + 1):
        value = scale.low + number * scale.division
        degrees, main = scale.degrees(value, sweep), number % scale.parts == 0
        inner = edge * (0.86 if main else 0.92)
        ends = [around(centre, edge, degrees), around(centre, inner, degrees)]
        draw.line(ends, look.ink, max(int(edge * (0.022 if main else 0.010)), 2))
        if main:
            # wide numbers stand further in
            text = f"{value:.1f}" if scale.step < 1 else f"{value:.0f}"
            place = around(centre, edge * (0.74 - 0.02 * max(len(text) - 2, 0)), degrees)
            write(draw, place, "0" if float(text) == 0 else text, file, edge * 0.155, look.ink)


def _needle(
    draw: ImageDraw.ImageDraw, centre: Point, edge: float, degrees: float, look: Look, random: Random
) -> None:
    tip, tail = around(centre, edge * 0.93, degrees), around(centre, edge * random.uniform(0.1, 0.28), degrees + 180)
    half = edge * random.uniform(0.022, 0.045)
    sides = [around(centre, half, degrees + 90), tip, around(centre, half, degrees - 90), tail]
    draw.polygon(sides, look.needle)
    draw.line([centre, tip], look.needle, max(int(edge * 0.012), 2))
    draw.ellipse(box(centre, edge * random.uniform(0.06, 0.11)), look.needle)
