"""The geometry of a gauge's face, and the needle upon it. Knows no scale's print."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from edgevlm_demo.plant.scales import Scale
from edgevlm_demo.scenes.canvas import opaque
from edgevlm_demo.scenes.colours import Colour, jitter, mix
from edgevlm_demo.scenes.scene import PATCH, Mark

NEEDLES: tuple[Colour, ...] = ((20, 20, 22), (215, 35, 30), (235, 120, 20), (40, 90, 200), (240, 240, 240))


@dataclass(frozen=True)
class Face:
    """Geometry in pixels of the sprite; angles in degrees clockwise from the top."""

    centre: tuple[float, float]
    radius: float
    start: float
    sweep: float
    scale: Scale

    def angle(self, value: float) -> float:
        return self.start + (value - self.scale.low) / self.scale.span * self.sweep

    def at(self, value: float, share: float) -> tuple[float, float]:
        return self.towards(self.angle(value), share)

    def towards(self, angle: float, share: float) -> tuple[float, float]:
        radians = math.radians(angle)
        length = share * self.radius
        return self.centre[0] + length * math.sin(radians), self.centre[1] - length * math.cos(radians)

    def box(self, share: float) -> tuple[float, float, float, float]:
        (x, y), reach = self.centre, share * self.radius
        return x - reach, y - reach, x + reach, y + reach


def draw_needle(
    random: Random, image: Image.Image, face: Face, value: float, length: float, ink: Colour, paper: Colour
) -> None:
    draw = ImageDraw.Draw(image)
    colour = ink
    if random.random() < 0.5:
        colours = [c for c in NEEDLES if abs(sum(c) - sum(paper)) > 150]
        colour = jitter(random, random.choice(colours or [ink]), 12)
    angle, half, tail = face.angle(value), random.uniform(0.02, 0.05), -random.uniform(0.0, 0.3)
    if random.random() < 0.3:  # its shadow
        _shape(draw, face, angle + random.uniform(-2, 2), length, half, tail, mix(paper, (60, 60, 60), 0.3), style=0)
    _shape(draw, face, angle, length, half, tail, colour, style=random.randrange(4))
    draw.ellipse(
        face.box(random.uniform(0.05, 0.13)),
        fill=opaque(random.choice((colour, mix(ink, (120, 120, 120), random.random())))),
    )


def _shape(
    draw: ImageDraw.ImageDraw,
    face: Face,
    angle: float,
    length: float,
    half: float,
    tail: float,
    colour: Colour,
    style: int,
) -> None:
    fill, hair = opaque(colour), max(2, round(0.022 * face.radius))
    end, back = face.towards(angle, length), face.towards(angle, tail)
    sides = [face.towards(angle + 90, half), face.towards(angle - 90, half)]
    if style == 0:
        draw.polygon([sides[0], end, sides[1], back], fill=fill)
    elif style == 1:
        draw.line((*back, *end), fill=fill, width=max(hair, round(1.4 * half * face.radius)))
    elif style == 2:  # an arrow
        neck = face.towards(angle, 0.75 * length)
        turn = math.degrees(math.atan2(1.6 * half, 0.75 * length))
        wings = [face.towards(angle + s * turn, 0.75 * length) for s in (1, -1)]
        draw.line((*back, *neck), fill=fill, width=max(hair, round(half * face.radius)))
        draw.polygon([wings[0], end, wings[1]], fill=fill)
    else:  # a broad tail
        draw.polygon([*sides, end], fill=fill)
        draw.line((*face.centre, *back), fill=fill, width=max(hair, round(2 * half * face.radius)))
    draw.line((*face.centre, *end), fill=fill, width=hair)


def needle_marks(face: Face, value: float, length: float, size: int) -> list[Mark]:
    """The shaft, and last the tip: its order says where on the scale it stands, in fiftieths."""
    half = 0.03 * size

    def square(point: tuple[float, float]) -> tuple[float, float, float, float]:
        return point[0] - half, point[1] - half, point[0] + half, point[1] + half

    steps = max(2, math.ceil(length * face.radius / (2 * half)))
    marks = [Mark("needle", square(face.at(value, length * n / steps))) for n in range(1, steps)]
    share = round(50 * (value - face.scale.low) / face.scale.span)
    x, y = face.at(value, length - 0.05)
    reach = max(half, PATCH / 4)
    return [*marks, Mark("tip", (x - reach, y - reach, x + reach, y + reach), 1 + share)]
