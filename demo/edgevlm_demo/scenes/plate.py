"""The metal plate: with a scratch, a dent, a stain or a crack in one of its quarters, or without a defect."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from edgevlm_demo.scenes.canvas import Canvas, Region, Sprite, opaque, small_angle
from edgevlm_demo.scenes.colours import Colour, jitter, shade
from edgevlm_demo.scenes.defects import draw_defect
from edgevlm_demo.scenes.scene import DEFECTS, Fact, Mark

QUARTERS = ("upper left", "upper right", "lower left", "lower right")
MIN_SIDE = 92.0  # pixels at 168 x 168
METALS: tuple[Colour, ...] = ((150, 153, 158), (178, 180, 184), (120, 124, 132), (170, 160, 145), (185, 140, 110))


@dataclass(frozen=True)
class Plate:
    defect: str  # "none" or a kind
    quarter: str  # means nothing without a defect


def choose_plate(random: Random) -> Plate:
    return Plate(random.choice(("none", *DEFECTS)), random.choice(QUARTERS))


def plate_sprite(random: Random, plate: Plate, width: float, height: float, unit: float) -> Sprite:
    """`width` and `height` in canvas pixels, of which `unit` are one pixel at 168 x 168."""
    size = (round(width), round(height))
    metal = jitter(random, random.choice(METALS), 12)
    image = _brushed(random, metal, size)
    draw = ImageDraw.Draw(image)
    if random.random() < 0.7:
        draw.rectangle(
            (0, 0, size[0] - 1, size[1] - 1), outline=opaque(shade(metal, 0.6)), width=random.randint(1, 3)
        )
    if random.random() < 0.5:
        _screws(random, draw, size, metal, unit)
    sprite = Sprite(image, [Mark("plate", (0, 0, *size))])
    if plate.defect == "none":
        return sprite
    reach = random.uniform(11.0, min(18.0, 0.19 * min(size) / unit)) * unit
    x, y = (_inside_quarter(random, length, reach, 5 * unit) for length in size)
    if plate.quarter.endswith("right"):
        x = size[0] - x
    if plate.quarter.startswith("lower"):
        y = size[1] - y
    order = QUARTERS.index(plate.quarter) + 1
    for box in draw_defect(random, image, plate.defect, metal, (x, y), reach, unit):
        sprite.marks.append(Mark(plate.defect, box, order))
    return sprite


def draw(canvas: Canvas, region: Region) -> Plate:
    random = canvas.random
    plate = choose_plate(random)
    width, height = (
        random.uniform(min(MIN_SIDE, 0.9 * side), 0.9 * side) * canvas.unit for side in canvas.size(region)
    )
    canvas.place(plate_sprite(random, plate, width, height, canvas.unit), region, angle=small_angle(random, 5.0))
    return plate


def facts(plate: Plate, random: Random) -> tuple[Fact, ...]:
    """Families and answers; a quarter of the bad plates is asked whether it is bad, so that yes = no."""
    kind = Fact("defect", "", plate.defect)
    if plate.defect == "none":
        return (kind, Fact("defect is there", "", "no"))
    place = Fact("defect place", "", plate.quarter)
    if random.random() < 1 / 4:
        return (kind, place, Fact("defect is there", "", "yes"))
    return (kind, place)


def phrase(plate: Plate) -> str:
    if plate.defect == "none":
        return "a metal plate without a defect"
    return f"a metal plate with a {plate.defect} in the {plate.quarter}"


def _inside_quarter(random: Random, length: int, reach: float, gap: float) -> float:
    """A centre so that the defect keeps off the edge and off the middle."""
    low, high = reach + gap, length / 2 - reach - gap
    return random.uniform(low, high) if low < high else length / 4


def _screws(random: Random, draw: ImageDraw.ImageDraw, size: tuple[int, int], metal: Colour, unit: float) -> None:
    radius = random.uniform(1.8, 3.0) * unit
    inset = radius + random.uniform(1.5, 3.0) * unit
    for x in (inset, size[0] - inset):
        for y in (inset, size[1] - inset):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=opaque(shade(metal, 0.75)))


def _brushed(random: Random, metal: Colour, size: tuple[int, int]) -> Image.Image:
    grain = _grain().transpose(Image.Transpose.ROTATE_90) if random.random() < 0.5 else _grain()
    x, y = random.randrange(64), random.randrange(64)
    grain = grain.crop((x, y, x + 320, y + 320)).resize(size, Image.Resampling.BILINEAR)
    return Image.blend(Image.new("RGB", size, metal), grain, random.uniform(0.0, 0.14)).convert("RGBA")


@cache
def _grain() -> Image.Image:
    """Grey streaks, 384 x 384."""
    streaks = np.random.RandomState(20261124).uniform(0, 255, (384, 12)).astype(np.uint8)
    return Image.fromarray(streaks).resize((384, 384), Image.Resampling.BICUBIC).convert("RGB")
