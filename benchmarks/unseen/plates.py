"""Metal plates with a scratch, a dent, a stain, a crack, or nothing wrong."""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, radians, sin
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from benchmarks.unseen.canvas import Point, finished, mottled, photographed, wall
from benchmarks.unseen.question import Question, Truth

DEFECTS = ("scratch", "dent", "stain", "crack")


def plates(random: Random, family: str, *, photo: bool = False) -> Iterator[Question]:
    """Endless: which defect, where, or whether there is one."""
    while True:
        defect = random.choice((*DEFECTS, *DEFECTS, "none"))
        across, down = random.choice(("left", "right")), random.choice(("upper", "lower"))
        picture = drawn(random, defect, (across == "right", down == "lower"))
        picture = photographed(picture, random, 0.8) if photo else picture
        there = Question(
            family, picture, "Is there a defect on the plate?", Truth(("no" if defect == "none" else "yes",))
        )
        if defect == "none":
            yield there
            continue
        which = Question(family, picture, "Which defect does the plate have?", Truth((defect,)))
        place = Question(family, picture, "Where is the defect on the plate?", Truth((f"{down} {across}",)))
        yield random.choice((there, which, which, place))


def drawn(random: Random, defect: str, quarter: tuple[bool, bool]) -> Image.Image:
    """A brushed plate on a bench, its defect in a quarter: whether to the right, whether below."""
    picture = wall(random, random.choice((520, 640)), 480)
    margin = int(random.uniform(0.06, 0.14) * picture.height)
    plate = _brushed(random, picture.width - 2 * margin, picture.height - 2 * margin)
    centre = (
        plate.width * ((0.7 if quarter[0] else 0.3) + random.uniform(-0.06, 0.06)),
        plate.height * ((0.7 if quarter[1] else 0.3) + random.uniform(-0.06, 0.06)),
    )
    size = plate.height * random.uniform(0.13, 0.19)
    if defect != "none":
        {"scratch": _scratch, "dent": _dent, "stain": _stain, "crack": _crack}[defect](plate, random, centre, size)
    picture.paste(plate, (margin, margin))
    return finished(picture)


def _brushed(random: Random, width: int, height: int) -> Image.Image:
    """Metal with fine lines along it."""
    rng = np.random.default_rng(random.getrandbits(32))
    lines = rng.normal(0, random.uniform(2, 6), (height, 1)) + rng.normal(0, 2, (height, width))
    tone = np.array(random.choice(((172, 176, 180), (148, 152, 158), (190, 188, 182), (120, 124, 130))), np.float32)
    pixels = np.clip(tone + lines[..., None] + 18 * (mottled(rng, width, height, 3)[..., None] - 0.5), 0, 255)
    plate = Image.fromarray(pixels.astype(np.uint8))
    ImageDraw.Draw(plate).rectangle((0, 0, width - 1, height - 1), None, (70, 72, 76), 4)
    return plate


def _scratch(plate: Image.Image, random: Random, centre: Point, size: float) -> None:
    """A straight bright line with a dark edge."""
    angle = radians(random.uniform(0, 180))
    dx, dy = size * cos(angle), size * sin(angle)
    draw, wide = ImageDraw.Draw(plate), random.randint(4, 7)
    ends = (centre[0] - dx, centre[1] - dy, centre[0] + dx, centre[1] + dy)
    draw.line((ends[0] + 3, ends[1] + 3, ends[2] + 3, ends[3] + 3), (80, 82, 86), wide)
    draw.line(ends, (246, 248, 250), wide)


def _dent(plate: Image.Image, random: Random, centre: Point, size: float) -> None:
    """A hollow: dark where the light comes from, bright opposite."""
    radius = size * 0.7
    box = (int(centre[0] - radius), int(centre[1] - radius), int(centre[0] + radius), int(centre[1] + radius))
    part = np.asarray(plate.crop(box), np.float32)
    y, x = np.mgrid[-1 : 1 : part.shape[0] * 1j, -1 : 1 : part.shape[1] * 1j]
    angle = radians(random.uniform(200, 340))
    inside = np.clip(1 - np.hypot(x, y), 0, 1) ** 0.5
    shade = inside * (-90 * (x * cos(angle) + y * sin(angle)) * -1 - 15)
    plate.paste(Image.fromarray(np.clip(part + shade[..., None], 0, 255).astype(np.uint8)), box[:2])


def _stain(plate: Image.Image, random: Random, centre: Point, size: float) -> None:
    """A blot with an uneven edge: rust, oil or a chemical."""
    colour = random.choice(((122, 74, 40), (70, 58, 44), (96, 88, 50), (60, 66, 80)))
    mask = Image.new("L", plate.size)
    draw = ImageDraw.Draw(mask)
    for _ in range(9):
        x, y = centre[0] + random.gauss(0, size * 0.3), centre[1] + random.gauss(0, size * 0.3)
        radius = size * random.uniform(0.25, 0.5)
        draw.ellipse((x - radius, y - radius * 0.8, x + radius, y + radius * 0.8), random.randint(150, 215))
    plate.paste(colour, (0, 0), mask.filter(ImageFilter.GaussianBlur(size * 0.06)))


def _crack(plate: Image.Image, random: Random, centre: Point, size: float) -> None:
    """A dark line that goes on in other directions and branches."""
    draw, heading = ImageDraw.Draw(plate), random.uniform(0, 360)
    start = (centre[0] - size * cos(radians(heading)), centre[1] - size * sin(radians(heading)))
    points = _wander(random, start, heading, size / 3.2, 7)
    draw.line(points, (22, 22, 24), 6)
    draw.line(_wander(random, points[3], heading + random.choice((-55, 55)), size / 4, 3), (26, 26, 28), 4)


def _wander(random: Random, start: Point, heading: float, step: float, count: int) -> list[Point]:
    points = [start]
    for _ in range(count):
        turn = radians(heading + random.uniform(-50, 50))
        points.append((points[-1][0] + step * cos(turn), points[-1][1] + step * sin(turn)))
    return points
