"""Drawn things that are none of the devices: people, rooms, clocks, wheels, signs, houses and shapes."""

from __future__ import annotations

import math
from random import Random

from PIL import Image, ImageDraw

from edgevlm_demo.scenes.colours import Colour, jitter, shade

Box = tuple[float, float, float, float]
SKIN: tuple[Colour, ...] = ((235, 200, 170), (200, 150, 110), (140, 95, 65), (90, 60, 45))


def sketch(random: Random, image: Image.Image) -> None:
    """One to three things, drawn on the picture."""
    draw = ImageDraw.Draw(image)
    width, height = image.size
    if random.random() < 0.25:
        _room(random, draw, width, height)
    for _ in range(random.randint(1, 3)):
        side = random.uniform(0.25, 0.9) * min(width, height)
        x, y = random.uniform(-0.1 * side, width - 0.9 * side), random.uniform(-0.1 * side, height - 0.9 * side)
        random.choice((_person, _person, _face, _clock, _wheel, _house, _tree, _sign, _shapes, _keys))(
            random, draw, (x, y, x + side, y + side)
        )


def _any(random: Random) -> Colour:
    return random.randint(0, 255), random.randint(0, 255), random.randint(0, 255)


def _person(random: Random, draw: ImageDraw.ImageDraw, box: Box) -> None:
    x0, y0, x1, y1 = box
    middle, side = (x0 + x1) / 2, x1 - x0
    skin, shirt, trousers = jitter(random, random.choice(SKIN), 15), _any(random), _any(random)
    head = 0.11 * side
    draw.rectangle((middle - 0.14 * side, y0 + 0.6 * side, middle + 0.14 * side, y1), fill=trousers)
    draw.rounded_rectangle(
        (middle - 0.2 * side, y0 + 0.22 * side, middle + 0.2 * side, y0 + 0.65 * side), 0.08 * side, fill=shirt
    )
    for way in (-1, 1):
        arm = (
            middle + way * 0.18 * side,
            y0 + 0.27 * side,
            middle + way * random.uniform(0.25, 0.45) * side,
            y0 + random.uniform(0.3, 0.7) * side,
        )
        draw.line(arm, fill=skin, width=max(2, round(0.07 * side)))
    draw.ellipse((middle - head, y0, middle + head, y0 + 2.3 * head), fill=skin)
    draw.chord((middle - head, y0 - 0.1 * head, middle + head, y0 + 2 * head), 180, 360, fill=_any(random))


def _face(random: Random, draw: ImageDraw.ImageDraw, box: Box) -> None:
    x0, y0, x1, y1 = box
    side, middle = x1 - x0, (x0 + x1) / 2
    skin = jitter(random, random.choice((*SKIN, (255, 215, 60))), 15)
    draw.ellipse((x0 + 0.12 * side, y0, x1 - 0.12 * side, y1), fill=skin)
    if random.random() < 0.7:
        draw.chord((x0 + 0.1 * side, y0 - 0.04 * side, x1 - 0.1 * side, y0 + 0.7 * side), 180, 360, fill=_any(random))
    eye = random.uniform(0.03, 0.07) * side
    for x in (middle - 0.17 * side, middle + 0.17 * side):
        draw.ellipse((x - eye, y0 + 0.45 * side - eye, x + eye, y0 + 0.45 * side + eye), fill=(30, 30, 35))
    mouth = (middle - 0.2 * side, y0 + 0.55 * side, middle + 0.2 * side, y0 + 0.85 * side)
    draw.arc(mouth, 20, 160, fill=(120, 30, 30), width=max(2, round(0.03 * side)))


def _clock(random: Random, draw: ImageDraw.ImageDraw, box: Box) -> None:
    """Two hands and no scale of numbers."""
    face = random.choice(((245, 245, 240), (30, 30, 34), _any(random)))
    ink = (240, 240, 240) if sum(face) < 380 else (20, 20, 22)
    draw.ellipse(box, fill=face, outline=_any(random), width=max(2, round(0.04 * (box[2] - box[0]))))
    x, y, reach = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, (box[2] - box[0]) / 2
    for hour in range(12):
        a = math.radians(30 * hour)
        draw.line(
            (
                x + 0.8 * reach * math.sin(a),
                y - 0.8 * reach * math.cos(a),
                x + 0.9 * reach * math.sin(a),
                y - 0.9 * reach * math.cos(a),
            ),
            fill=ink,
            width=2,
        )
    for share, width in ((0.5, 5), (0.75, 3)):
        a = random.uniform(0, 2 * math.pi)
        draw.line((x, y, x + share * reach * math.sin(a), y - share * reach * math.cos(a)), fill=ink, width=width)


def _wheel(random: Random, draw: ImageDraw.ImageDraw, box: Box) -> None:
    x, y, reach = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, (box[2] - box[0]) / 2
    colour = _any(random)
    for share, fill in ((1.0, shade(colour, 0.4)), (0.75, colour), (0.2, shade(colour, 0.5))):
        draw.ellipse((x - share * reach, y - share * reach, x + share * reach, y + share * reach), fill=fill)
    for spoke in range(random.randint(0, 9)):
        a = 0.7 * spoke
        draw.line(
            (x, y, x + 0.75 * reach * math.sin(a), y + 0.75 * reach * math.cos(a)), fill=shade(colour, 0.6), width=3
        )


def _house(random: Random, draw: ImageDraw.ImageDraw, box: Box) -> None:
    x0, y0, x1, y1 = box
    side = x1 - x0
    draw.rectangle((x0, y0 + 0.4 * side, x1, y1), fill=_any(random))
    draw.polygon([(x0, y0 + 0.4 * side), ((x0 + x1) / 2, y0), (x1, y0 + 0.4 * side)], fill=_any(random))
    pane = _any(random)
    for x in (x0 + 0.15 * side, x0 + 0.6 * side):
        draw.rectangle((x, y0 + 0.5 * side, x + 0.22 * side, y0 + 0.72 * side), fill=pane, outline=(240, 240, 240))


def _tree(random: Random, draw: ImageDraw.ImageDraw, box: Box) -> None:
    x0, y0, x1, y1 = box
    middle, side = (x0 + x1) / 2, x1 - x0
    draw.rectangle(
        (middle - 0.06 * side, y0 + 0.5 * side, middle + 0.06 * side, y1), fill=jitter(random, (95, 65, 40), 20)
    )
    for _ in range(random.randint(3, 9)):
        x, y, r = (
            random.uniform(x0 + 0.2 * side, x1 - 0.2 * side),
            random.uniform(y0, y0 + 0.5 * side),
            random.uniform(0.12, 0.3) * side,
        )
        draw.ellipse((x - r, y - r, x + r, y + r), fill=jitter(random, (60, 120, 50), 40))


def _sign(random: Random, draw: ImageDraw.ImageDraw, box: Box) -> None:
    """A warning or a road sign with a mark and no print."""
    x0, y0, x1, y1 = box
    colour, middle = random.choice(((250, 210, 40), (215, 40, 40), (30, 90, 190), (240, 240, 240))), (x0 + x1) / 2
    if random.random() < 0.5:
        draw.polygon([(middle, y0), (x1, y1), (x0, y1)], fill=colour, outline=(20, 20, 20))
    else:
        draw.ellipse(box, fill=colour, outline=(200, 30, 30), width=max(2, round(0.08 * (x1 - x0))))
    draw.rectangle((middle - 3, y0 + 0.35 * (y1 - y0), middle + 3, y0 + 0.75 * (y1 - y0)), fill=(20, 20, 20))


def _shapes(random: Random, draw: ImageDraw.ImageDraw, box: Box) -> None:
    x0, y0, x1, y1 = box
    for _ in range(random.randint(2, 12)):
        xs, ys = sorted(random.uniform(x0, x1) for _ in range(2)), sorted(random.uniform(y0, y1) for _ in range(2))
        part = (xs[0], ys[0], xs[1] + 1, ys[1] + 1)
        random.choice((draw.rectangle, draw.ellipse))(part, fill=_any(random))


def _keys(random: Random, draw: ImageDraw.ImageDraw, box: Box) -> None:
    """A keyboard or a shelf: rows of equal things."""
    x0, y0, x1, y1 = box
    base, step = _any(random), random.uniform(0.07, 0.2) * (x1 - x0)
    draw.rectangle(box, fill=shade(base, 0.5))
    y = y0 + 3
    while y + step < y1:
        x = x0 + 3
        while x + step < x1:
            draw.rounded_rectangle((x, y, x + 0.85 * step, y + 0.85 * step), 2, fill=jitter(random, base, 15))
            x += step
        y += step


def _room(random: Random, draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    wall, floor = _any(random), _any(random)
    left, right, low = (
        random.uniform(0.1, 0.3) * width,
        random.uniform(0.7, 0.9) * width,
        random.uniform(0.55, 0.75) * height,
    )
    draw.rectangle((0, 0, width, height), fill=shade(wall, 0.8))
    draw.rectangle((left, 0.1 * height, right, low), fill=wall)
    draw.polygon([(0, height), (left, low), (right, low), (width, height)], fill=floor)
    for share in (random.uniform(0.3, 0.4), random.uniform(0.5, 0.6)):
        draw.rectangle(
            (share * width, 0.2 * height, (share + 0.12) * width, 0.45 * height),
            fill=(200, 220, 240),
            outline=shade(wall, 0.4),
            width=3,
        )
    draw.rectangle((0.35 * width, low, 0.6 * width, low + 0.15 * height), fill=_any(random))
