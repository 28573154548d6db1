"""The flange: a ring of 4-8 holes around a bore; every hole but up to three holds a bolt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from edgevlm_demo.scenes.canvas import Canvas, Region, Sprite, opaque, small_angle
from edgevlm_demo.scenes.colours import Colour, jitter, mix, shade
from edgevlm_demo.scenes.scene import LAST, PATCH, PLAIN, Fact, Mark, Style

MOST_MISSING = 3
MIN_RADIUS = 46.0  # pixels at 168 x 168: eight holes then lie in eight patches
MAX_RADIUS = 80.0
METALS: tuple[Colour, ...] = ((150, 152, 158), (110, 112, 118), (175, 172, 165), (95, 110, 130))
PAINTS: tuple[Colour, ...] = (
    (40, 80, 140),
    (150, 60, 45),
    (50, 110, 75),
    (215, 170, 40),
    (70, 72, 76),
    (130, 90, 65),
)
BRASS: Colour = (205, 170, 90)
BLACKENED: Colour = (52, 54, 58)


@dataclass(frozen=True)
class Flange:
    bolts: tuple[bool, ...]  # clockwise from the top: is there a bolt in the hole

    @property
    def missing(self) -> int:
        return self.bolts.count(False)


def choose_flange(random: Random) -> Flange:
    holes = random.randint(4, 8)
    missing = set(random.sample(range(holes), random.randint(0, MOST_MISSING)))
    return Flange(tuple(hole not in missing for hole in range(holes)))


@dataclass(frozen=True)
class _Fittings:
    """How bolts and holes look; `washer` and `hole` in radii of a bolt, `washer` 0 where there is none."""

    bolt: Colour
    hollow: Colour
    hexagonal: bool
    washer: float
    hole: float


def flange_sprite(random: Random, flange: Flange, radius: float, unit: float, style: Style = "plain") -> Sprite:
    """`radius` in canvas pixels, of which `unit` are one pixel at 168 x 168."""
    side = math.ceil(2 * radius)
    varied = style == "varied" and random.random() < 0.6
    metal = jitter(random, random.choice((*METALS, *PAINTS) if varied else METALS), 15)
    image = Image.new("RGBA", (side, side), (*metal, 0))
    draw = ImageDraw.Draw(image)
    _body(random, draw, metal, radius)
    circle = random.uniform(0.7, 0.76) * radius
    size = random.uniform(0.1, 0.14) * radius
    fittings = _varied_fittings(random, metal) if varied else _fittings(random, metal)
    # no hole lies so near to the top that a rotated picture changes which one is the first
    count = len(flange.bolts)
    first = random.uniform(0.25, 0.75)
    sprite = Sprite(image, [Mark("flange", (0, 0, side, side))])
    seen = {True: 0, False: 0}
    for index, present in enumerate(flange.bolts):
        angle = math.radians((first + index) * 360 / count)
        x, y = radius + circle * math.sin(angle), radius - circle * math.cos(angle)
        if present:
            _bolt(random, draw, (x, y), 1.15 * size, fittings)
        else:
            half = fittings.hole * size
            edge = opaque(shade(metal, 0.7))
            draw.ellipse((x - half, y - half, x + half, y + half), fill=opaque(fittings.hollow), outline=edge)
        seen[present] += 1
        follow = LAST if seen[present] == flange.bolts.count(present) else PLAIN
        half = PATCH * unit / 2
        sprite.marks.append(
            Mark("bolt" if present else "hole", (x - half, y - half, x + half, y + half), seen[present], follow)
        )
    return sprite


def draw(canvas: Canvas, region: Region) -> Flange:
    random = canvas.random
    flange = choose_flange(random)
    most = min(MAX_RADIUS, 0.48 * min(canvas.size(region)))
    radius = random.uniform(min(MIN_RADIUS, most), most)
    sprite = flange_sprite(random, flange, radius * canvas.unit, canvas.unit, canvas.style)
    canvas.place(sprite, region, angle=small_angle(random, 5.0))
    return flange


def facts(flange: Flange, random: Random) -> tuple[Fact, ...]:
    """Families and answers; a third of the incomplete flanges is asked for completeness, so that yes = no."""
    counts = (
        Fact("bolts missing", "", str(flange.missing)),
        Fact("bolts in place", "", str(flange.bolts.count(True))),
    )
    if flange.missing and random.random() < 2 / 3:
        return counts
    return (*counts, Fact("bolt is missing", "", "yes" if flange.missing else "no"))


def phrase(flange: Flange) -> str:
    amount = ("no bolt", "one bolt", "two bolts", "three bolts")[flange.missing]
    return f"a flange with {amount} missing"


def _body(random: Random, draw: ImageDraw.ImageDraw, metal: Colour, radius: float) -> None:
    side = 2 * radius - 1
    edge = opaque(shade(metal, random.uniform(0.55, 0.8)))
    if random.random() < 0.75:
        draw.ellipse((0, 0, side, side), fill=opaque(metal), outline=edge, width=max(1, round(0.03 * radius)))
    else:
        draw.rounded_rectangle(
            (0, 0, side, side), random.uniform(0.15, 0.5) * radius, fill=opaque(metal), outline=edge, width=2
        )
    inner = random.uniform(0.46, 0.54) * radius
    draw.ellipse(
        (radius - inner, radius - inner, radius + inner, radius + inner),
        fill=opaque(shade(metal, random.uniform(0.8, 1.2))),
    )
    bore = random.uniform(0.22, 0.42) * radius
    hollow = shade(metal, random.uniform(0.2, 0.5))
    draw.ellipse((radius - bore, radius - bore, radius + bore, radius + bore), fill=opaque(hollow))


def _fittings(random: Random, metal: Colour) -> _Fittings:
    bolt = _bright(random, metal)
    hexagonal = random.random() < 0.6
    return _Fittings(bolt, shade(metal, random.uniform(0.12, 0.28)), hexagonal, 0.0, 1.0)


def _varied_fittings(random: Random, metal: Colour) -> _Fittings:
    """Blackened bolts too, washers, and holes that are smaller than the head of a bolt."""
    black = random.random() < 0.4
    bolt = jitter(random, BLACKENED, 18) if black else _bright(random, metal)
    bare = not black and random.random() < 0.6
    hollow = shade(metal, random.uniform(0.04, 0.28)) if bare else jitter(random, (14, 14, 16), 8)
    washer = random.uniform(1.1, 1.4) if black or random.random() < 0.6 else 0.0
    return _Fittings(bolt, hollow, random.random() < 0.75, washer, random.uniform(0.6, 1.0))


def _bright(random: Random, metal: Colour) -> Colour:
    if random.random() < 0.3:
        return jitter(random, BRASS, 20)
    return jitter(random, mix(metal, (235, 235, 238), random.uniform(0.5, 0.8)), 12)


def _bolt(
    random: Random, draw: ImageDraw.ImageDraw, centre: tuple[float, float], size: float, fittings: _Fittings
) -> None:
    x, y = centre
    colour = fittings.bolt
    edge = opaque(shade(colour, 0.5))
    if fittings.washer:
        wide = fittings.washer * size
        draw.ellipse((x - wide, y - wide, x + wide, y + wide), fill=opaque(shade(colour, 0.85)), outline=edge)
    if fittings.hexagonal:
        draw.regular_polygon((x, y, size * 1.05), 6, rotation=random.randrange(60), fill=opaque(colour), outline=edge)
        inner = 0.55 * size
        draw.ellipse((x - inner, y - inner, x + inner, y + inner), fill=opaque(shade(colour, 1.12)))
    else:
        draw.ellipse((x - size, y - size, x + size, y + size), fill=opaque(colour), outline=edge)
        angle = random.uniform(0, math.pi)
        dx, dy = 0.6 * size * math.cos(angle), 0.6 * size * math.sin(angle)
        draw.line((x - dx, y - dy, x + dx, y + dy), fill=edge, width=max(1, round(0.25 * size)))
