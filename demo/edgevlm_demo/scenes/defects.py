"""Scratch, dent, stain and crack, drawn onto metal. Knows no plate."""

from __future__ import annotations

import math
from functools import cache
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from edgevlm_demo.scenes.canvas import opaque
from edgevlm_demo.scenes.colours import Colour, jitter, shade

Box = tuple[float, float, float, float]
Point = tuple[float, float]
STAINS: tuple[Colour, ...] = ((110, 60, 25), (60, 45, 30), (35, 40, 45), (70, 90, 40))


def draw_defect(
    random: Random, image: Image.Image, kind: str, metal: Colour, centre: Point, reach: float, unit: float
) -> list[Box]:
    """Nothing of it is farther than `reach` from the centre; returns boxes around its parts. All in pixels."""
    if kind == "scratch":
        return _scratch(random, image, metal, centre, reach, unit)
    if kind == "crack":
        return _crack(random, image, centre, reach, unit)
    if kind == "dent":
        return _dent(random, image, metal, centre, 0.8 * reach)
    return _stain(random, image, centre, reach, unit)


def _scratch(
    random: Random, image: Image.Image, metal: Colour, centre: Point, reach: float, unit: float
) -> list[Box]:
    """One to three straight bright lines side by side."""
    draw = ImageDraw.Draw(image)
    angle = random.uniform(0, math.pi)
    cosine, sine = math.cos(angle), math.sin(angle)
    colour = opaque(jitter(random, shade(metal, 1.55), 10))
    width = max(1, round(random.uniform(1.2, 1.8) * unit))
    for number in range(random.randint(1, 3)):
        aside = (number - 1) * 3.2 * unit
        length = reach * random.uniform(0.8, 0.98)
        x, y = centre[0] - aside * sine, centre[1] + aside * cosine
        ends = (x - length * cosine, y - length * sine, x + length * cosine, y + length * sine)
        draw.line(ends, fill=colour, width=width)
        if random.random() < 0.5:
            draw.line(
                [value + 0.8 * width for value in ends], fill=opaque(shade(metal, 0.7)), width=max(1, width // 2)
            )
    points = [(centre[0] + s * reach * cosine, centre[1] + s * reach * sine) for s in (-0.75, -0.25, 0.25, 0.75)]
    return [_square(point, 10 * unit) for point in points]


def _crack(random: Random, image: Image.Image, centre: Point, reach: float, unit: float) -> list[Box]:
    """A dark zigzag with a branch or two."""
    draw = ImageDraw.Draw(image)
    angle = random.uniform(0, math.pi)
    cosine, sine = math.cos(angle), math.sin(angle)
    colour = opaque(jitter(random, (28, 26, 26), 12))
    width = max(1, round(random.uniform(1.2, 1.9) * unit))

    def along(share: float, aside: float) -> Point:
        x, y = share * reach, aside * reach
        return centre[0] + x * cosine - y * sine, centre[1] + x * sine + y * cosine

    shares = (-0.95, -0.6, -0.25, 0.1, 0.45, 0.7, 0.95)
    side = random.choice((-1, 1))
    line = [along(s, side * (-1) ** n * random.uniform(0.08, 0.26)) for n, s in enumerate(shares)]
    draw.line(line, fill=colour, width=width)
    for start in random.sample(range(1, 6), random.randint(1, 2)):
        x, y = line[start]
        turned = angle + random.choice((-1, 1)) * random.uniform(0.7, 1.2)
        length = random.uniform(0.3, 0.5) * reach
        end = (x + length * math.cos(turned), y + length * math.sin(turned))
        draw.line((x, y, *end), fill=colour, width=max(1, round(0.7 * width)))
    return [_square(point, 10 * unit) for point in line[::2]]


def _dent(random: Random, image: Image.Image, metal: Colour, centre: Point, radius: float) -> list[Box]:
    """A hollow: dark on the side of the light, bright on the other."""
    x, y = centre
    turn = random.uniform(0, 2 * math.pi)
    for sign, factor in ((1, random.uniform(1.35, 1.5)), (-1, random.uniform(0.3, 0.5))):
        dx, dy = 0.22 * sign * radius * math.cos(turn), 0.22 * sign * radius * math.sin(turn)
        size = max(2, round(1.7 * radius))
        soft = _soft_disc().resize((size, size), Image.Resampling.BILINEAR)
        image.paste(shade(metal, factor), (round(x + dx - size / 2), round(y + dy - size / 2)), soft)
    return [_square(centre, 1.6 * radius)]


def _stain(random: Random, image: Image.Image, centre: Point, reach: float, unit: float) -> list[Box]:
    """An irregular flat blot."""
    side = math.ceil(2 * reach)
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    strength = random.randint(150, 225)
    for _ in range(random.randint(4, 7)):
        radius = random.uniform(0.25, 0.5) * reach
        far, angle = random.uniform(0, 0.9 * reach - radius), random.uniform(0, 2 * math.pi)
        x, y = reach + far * math.cos(angle), reach + far * math.sin(angle)
        draw.ellipse((x - radius, y - 0.8 * radius, x + radius, y + 0.8 * radius), fill=strength)
    mask = mask.filter(ImageFilter.BoxBlur(unit))
    colour = jitter(random, random.choice(STAINS), 12)
    image.paste(colour, (round(centre[0] - reach), round(centre[1] - reach)), mask)
    return [_square(centre, 1.4 * reach)]


def _square(point: Point, side: float) -> Box:
    return point[0] - side / 2, point[1] - side / 2, point[0] + side / 2, point[1] + side / 2


@cache
def _soft_disc() -> Image.Image:
    """64 x 64, full in the middle, nothing at the rim."""
    line = np.linspace(-1, 1, 64)
    distance = np.sqrt(line[None, :] ** 2 + line[:, None] ** 2)
    return Image.fromarray((255 * np.clip(1.6 * (1 - distance), 0, 1)).astype(np.uint8))
