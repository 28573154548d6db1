"""A gauge of any range on a dial: round ones with a wide sweep, and panel meters with a narrow one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw

from edgevlm_demo.plant.face import Face, draw_needle, needle_marks
from edgevlm_demo.plant.lettering import line, mark, word
from edgevlm_demo.plant.scales import Scale, choose_scale
from edgevlm_demo.plant.shot import Region, Shot
from edgevlm_demo.scenes.canvas import Sprite, opaque
from edgevlm_demo.scenes.colours import Colour, jitter, mix, shade
from edgevlm_demo.scenes.scene import Mark

LEAST_NUMBER = 4.6  # height of the scale's numbers, in pixels at 168 x 168
LEAST_RADIUS = 27.0
LEAST_LEARNT = 6.0  # height of numbers that the tower is taught one by one
FINER = 2  # pixels of a sprite for one of the canvas: thin lines need them
FACES: tuple[Colour, ...] = (
    (245, 245, 242),
    (240, 240, 236),
    (250, 250, 250),
    (244, 238, 214),
    (205, 210, 214),
    (28, 30, 34),
    (15, 15, 18),
    (26, 44, 70),
)
ZONES: dict[str, Colour] = {"green": (40, 160, 70), "yellow": (240, 200, 40), "red": (215, 35, 30)}


@dataclass(frozen=True)
class Dial:
    """What a drawn gauge shows; `in_red` is None without a red zone, or where the needle stands near its end."""

    scale: Scale
    value: float  # a multiple of the scale's step
    legible: bool
    in_red: bool | None

    @property
    def reading(self) -> str:
        return self.scale.text(self.value)


def draw(shot: Shot, region: Region) -> Dial:
    random = shot.random
    scale = choose_scale(random)
    steps = round(scale.span / scale.step)
    value = round(scale.low + random.randint(0, steps) * scale.step, 6)
    # where the needle really stands; most stand between the steps
    exact = value if random.random() < 0.3 else value + random.uniform(-0.5, 0.5) * scale.step
    exact = min(scale.high, max(scale.low, exact))
    room = min(region[2] - region[0], region[3] - region[1])
    side = room * (random.uniform(0.7, 1.0) if random.random() < 0.7 else random.uniform(0.3, 0.7))
    sprite, face, number, ink, paper, red = _sprite(random, shot.supplies.fonts, scale, exact, side * FINER)
    small = Sprite(
        sprite.image.reduce(FINER),
        [_reduced(m) for m in sprite.marks],
    )
    first = len(shot.marks)
    shrunk = shot.place(small, region)
    legible = shot.legible(number * shrunk / FINER, LEAST_NUMBER, ink, paper)
    legible = legible and face.radius * shrunk / FINER / shot.unit >= LEAST_RADIUS
    if not shot.legible(number * shrunk / FINER, LEAST_LEARNT, ink, paper):
        shot.forget_print(first)
    return Dial(scale, value, legible, _in_red(scale, exact, red) if legible else None)


def _reduced(mark: Mark) -> Mark:
    x0, y0, x1, y1 = mark.box
    return Mark(mark.kind, (x0 / FINER, y0 / FINER, x1 / FINER, y1 / FINER), mark.order, mark.follow)


def _in_red(scale: Scale, exact: float, red: tuple[float, float] | None) -> bool | None:
    if red is None or (min(abs(exact - red[0]), abs(exact - red[1])) < 0.05 * scale.span and exact < scale.high):
        return None
    return red[0] <= exact <= red[1]


def _sprite(
    random: Random, fonts: tuple[Path, ...], scale: Scale, exact: float, side: float
) -> tuple[Sprite, Face, float, Colour, Colour, tuple[float, float] | None]:
    size = max(8, round(side))
    paper = jitter(random, random.choice(FACES), 10)
    ink = jitter(random, (235, 235, 230) if sum(paper) < 300 else random.choice(((25, 25, 28), (20, 20, 60))), 15)
    image = Image.new("RGBA", (size, size), (*paper, 0))
    draw = ImageDraw.Draw(image)
    face = (
        _meter(random, draw, scale, size, paper)
        if random.random() < 0.12
        else _round(random, draw, scale, size, paper)
    )
    sprite = Sprite(image, [Mark("face", face.box(1.0))])
    outer = random.uniform(0.84, 0.96)
    red = _zones(random, draw, face, outer) if random.random() < 0.35 else None
    tick = random.uniform(0.09, 0.17)
    if random.random() < 0.3:
        draw.arc(
            face.box(outer),
            face.start - 90,
            face.start + face.sweep - 90,
            fill=opaque(ink),
            width=max(1, size // 150),
        )
    _ticks(random, draw, face, ink, outer, tick)
    font = random.choice(fonts)
    number = face.radius * random.uniform(0.1, 0.17)
    inside = random.random() < 0.9
    _numbers(random, sprite, face, font, number, outer - tick if inside else outer + 0.04, ink, outwards=not inside)
    _print(random, sprite, face, fonts, number, ink)
    if random.random() < 0.15:
        _dots(random, draw, face, ink, paper)
    length = random.uniform(0.66, 0.99) * outer
    draw_needle(random, image, face, exact, length, ink, paper)
    sprite.marks += needle_marks(face, exact, length, size)
    return sprite, face, number, ink, paper, red


def _round(random: Random, draw: ImageDraw.ImageDraw, scale: Scale, size: int, paper: Colour) -> Face:
    rim = random.uniform(0.02, 0.1)
    metal = jitter(
        random, random.choice(((40, 40, 42), (90, 90, 95), (190, 190, 195), (200, 170, 90), (160, 30, 30))), 20
    )
    if random.random() < 0.15:
        draw.rounded_rectangle((0, 0, size - 1, size - 1), random.uniform(0, 0.2) * size, fill=opaque(metal))
    else:
        draw.ellipse((0, 0, size - 1, size - 1), fill=opaque(metal))
    if random.random() < 0.5:
        inset = 0.35 * rim * size / 2
        draw.ellipse((inset, inset, size - inset, size - inset), fill=opaque(shade(metal, random.uniform(0.7, 1.3))))
    inset = rim * size / 2
    draw.ellipse((inset, inset, size - inset, size - inset), fill=opaque(paper))
    sweep = random.choice((270, 270, 270, random.uniform(180, 300), 240, 180))
    start = -sweep / 2 + (random.uniform(-40, 40) if random.random() < 0.12 else 0.0)
    return Face((size / 2, size / 2), (1 - rim) * size / 2, start, sweep, scale)


def _meter(random: Random, draw: ImageDraw.ImageDraw, scale: Scale, size: int, paper: Colour) -> Face:
    """A square panel meter whose needle turns about its lower edge."""
    draw.rectangle((0, 0, size - 1, size - 1), fill=opaque(jitter(random, (40, 40, 42), 25)))
    inset = random.uniform(0.02, 0.06) * size
    draw.rectangle((inset, inset, size - inset, size - inset), fill=opaque(paper))
    sweep = random.uniform(80, 110)
    return Face((size / 2, random.uniform(0.72, 0.85) * size), 0.62 * size, -sweep / 2, sweep, scale)


def _zones(random: Random, draw: ImageDraw.ImageDraw, face: Face, outer: float) -> tuple[float, float] | None:
    """Coloured arcs at the end of the scale; returns where the red one is."""
    scale, width = face.scale, max(2, round(random.uniform(0.04, 0.12) * face.radius))
    bounds = sorted(random.sample([scale.low + scale.span * n / 20 for n in range(2, 19)], 2))
    names = random.choice(
        (("green", "yellow", "red"), ("red",), ("red",), ("green",), ("green", "red"), ("yellow", "red"))
    )
    edges = {1: [bounds[1], scale.high], 2: [bounds[0], bounds[1], scale.high], 3: [scale.low, *bounds, scale.high]}
    parts = edges[len(names)]
    red = None
    for name, low, high in zip(names, parts[:-1], parts[1:], strict=True):
        colour = opaque(jitter(random, ZONES[name], 20))
        draw.arc(face.box(outer), face.angle(low) - 90, face.angle(high) - 90, fill=colour, width=width)
        if name == "red":
            red = (low, high)
    return red


def _ticks(random: Random, draw: ImageDraw.ImageDraw, face: Face, ink: Colour, outer: float, length: float) -> None:
    scale = face.scale
    width = max(1, round(random.uniform(0.014, 0.035) * face.radius))
    for value in scale.ticks(scale.division):
        draw.line(
            (*face.at(value, outer), *face.at(value, outer - 0.55 * length)),
            fill=opaque(ink),
            width=max(1, width // 2),
        )
    for value, _ in scale.labels():
        draw.line((*face.at(value, outer), *face.at(value, outer - length)), fill=opaque(ink), width=width)


def _numbers(
    random: Random,
    sprite: Sprite,
    face: Face,
    font: Path,
    height: float,
    share: float,
    ink: Colour,
    *,
    outwards: bool,
) -> None:
    labels = face.scale.labels()
    every = 1
    # neighbours must not touch: print every second one where they would
    room = math.radians(face.sweep) * share * face.radius / max(1, len(labels) - 1)
    while every * room < 0.7 * height * max(len(text) for _, text in labels) + 0.4 * height and every < 4:
        every += 1
    if (len(labels) - 1) % every:
        every = 1
    for value, text in labels[::every]:
        printed = line(font, text, height)
        reach = math.hypot(0.4 * printed.mask.width, 0.35 * height) / face.radius
        x, y = face.at(value, share + (reach if outwards else -reach - 0.03))
        corner = (round(x - printed.mask.width / 2), round(y - printed.mask.height / 2))
        sprite.image.paste(ink, corner, printed.mask)
        mark(sprite, printed, corner)


def _print(random: Random, sprite: Sprite, face: Face, fonts: tuple[Path, ...], number: float, ink: Colour) -> None:
    """Unit, maker and what else stands on a face."""
    texts = [(face.scale.unit, random.uniform(0.9, 1.3), 1.0)] if random.random() < 0.92 else []
    if random.random() < 0.4:
        texts.append((word(random), random.uniform(0.6, 0.9), 0.8))
    if random.random() < 0.2:
        texts.append((random.choice(("CL 1.6", "KL 2.5", "EN 837-1", "316 SS", "MADE IN EU")), 0.5, 0.6))
    spots = random.sample((-0.38, 0.3, 0.5, 0.66), len(texts))
    for (text, size, strength), spot in zip(texts, spots, strict=True):
        printed = line(random.choice(fonts), text, size * number)
        if printed.mask.width < 1.1 * face.radius:
            x, y = (
                face.centre[0] - printed.mask.width / 2,
                face.centre[1] + spot * face.radius - printed.mask.height / 2,
            )
            sprite.image.paste(mix((128, 128, 128), ink, strength), (round(x), round(y)), printed.mask)


def _dots(random: Random, draw: ImageDraw.ImageDraw, face: Face, ink: Colour, paper: Colour) -> None:
    """Screws or coloured dots: things on a face that mean nothing."""
    for turn in random.sample(range(0, 360, 30), 2):
        x, y = face.towards(turn, 0.3)
        reach = random.uniform(0.02, 0.05) * face.radius
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=opaque(mix(ink, paper, random.random())))
