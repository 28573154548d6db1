"""Seven-segment displays in their housings, and numbers on operator panels. Knows their values' looks, no scenes."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from PIL import Image, ImageDraw, ImageFilter

from benchmarks.unseen.canvas import SCALE, Colour, finished, jpeg, photographed, text_mask, wall, write
from benchmarks.unseen.fonts import PRINTED, SANS, SEGMENTS
from benchmarks.unseen.question import Question, Truth

TEXTS = ("What does the display read?", "Which number does the display show?", "Read the display.")
LIGHTS: dict[str, tuple[Colour, Colour]] = {
    "red": ((255, 50, 40), (28, 6, 6)),
    "green": ((70, 255, 110), (6, 24, 10)),
    "amber": ((255, 176, 30), (28, 18, 4)),
    "blue": ((80, 160, 255), (6, 12, 30)),
    "white": ((240, 245, 250), (18, 20, 24)),
    "black": ((26, 32, 28), (172, 186, 160)),
}
"""Digits and what is behind them; black ones are those of a liquid crystal."""

UNITS = ("°C", "bar", "kg", "mm", "V", "A", "rpm", "l/min", "%", "Hz", "")
CAPTIONS = ("Speed", "Temperature", "Pressure", "Flow", "Level", "Torque", "Weight", "Setpoint", "Line 3", "Tank B")
PANELS: tuple[tuple[Colour, Colour, Colour], ...] = (
    ((28, 36, 52), (18, 24, 36), (235, 240, 245)),
    ((238, 240, 243), (255, 255, 255), (20, 24, 30)),
    ((205, 212, 218), (240, 244, 230), (10, 20, 30)),
    ((16, 18, 20), (16, 18, 20), (80, 230, 130)),
    ((40, 60, 80), (240, 245, 250), (15, 40, 90)),
)
"""A screen, the tile on it, and what is written on the tile."""


def value(random: Random) -> str:
    """What an instrument may show: up to five digits, sometimes with a point or a minus sign."""
    digits = random.randint(1, 5)
    places = random.choice((0, 0, 1, 1, 2)) if digits > 1 else 0
    places = min(places, digits - 1)
    first = str(random.randint(1, 9)) if digits - places > 1 else str(random.randint(0, 9))
    whole = first + "".join(str(random.randint(0, 9)) for _ in range(digits - places - 1))
    rest = "".join(str(random.randint(0, 9)) for _ in range(places))
    text = f"{whole}.{rest}" if rest else whole
    return f"-{text}" if random.random() < 0.15 and float(text) else text


def segment_displays(random: Random, family: str, *, photo: bool = False) -> Iterator[Question]:
    """Endless: one question about each."""
    while True:
        text, colour = value(random), random.choice(list(LIGHTS))
        picture = wall(random, 560, 420)
        _put(picture, _housing(random, text, colour), random.uniform(0.6, 0.9), random)
        shown = finished(picture)
        yield _question(random, family, photographed(shown, random, 0.8) if photo else shown, text)


def panel_numbers(random: Random, family: str) -> Iterator[Question]:
    """Endless: one printed number on an operator panel."""
    while True:
        text = value(random)
        yield _question(random, family, finished(_panel(random, text)), text)


def framed_displays(random: Random, family: str, share: float) -> Iterator[Question]:
    """Endless: a display over this share of a camera's frame of 1280 x 720."""
    while True:
        text, colour = value(random), random.choice(list(LIGHTS))
        picture = wall(random, 1280, 720)
        _put(picture, _housing(random, text, colour), share, random)
        yield _question(random, family, jpeg(finished(picture), 88), text)


def digit_colours(random: Random, family: str) -> Iterator[Question]:
    """Endless: in which colour the digits are."""
    while True:
        text, colour = value(random), random.choice(list(LIGHTS))
        picture = wall(random, 560, 420)
        _put(picture, _housing(random, text, colour), random.uniform(0.6, 0.9), random)
        yield Question(family, finished(picture), "What colour are the digits?", Truth((colour,)))


def _question(random: Random, family: str, picture: Image.Image, text: str) -> Question:
    return Question(family, picture, random.choice(TEXTS), Truth(number=float(text)))


def _put(picture: Image.Image, part: Image.Image, share: float, random: Random) -> None:
    """Somewhere on the picture, as wide as a share of it, but never higher."""
    factor = min(share * picture.width / part.width, 0.94 * picture.height / part.height)
    part = part.resize((int(part.width * factor), int(part.height * factor)), Image.Resampling.LANCZOS)
    left = random.randint(0, picture.width - part.width)
    top = random.randint(0, picture.height - part.height)
    picture.paste(part, (left, top))


def _housing(random: Random, text: str, colour: str) -> Image.Image:
    """A panel meter: frame, window, digits, perhaps a maker's name and a unit beside the window."""
    light, dark = LIGHTS[colour]
    digits = _digits(random, text, 260)
    window = (digits.width + 150, digits.height + random.randint(90, 160))
    frame = random.choice(((35, 36, 38), (70, 74, 78), (200, 200, 196), (20, 50, 90)))
    below = random.choice((0, 70, 90))
    housing = Image.new("RGB", (window[0] + 120, window[1] + 100 + below), frame)
    draw = ImageDraw.Draw(housing)
    draw.rounded_rectangle((60, 50, 60 + window[0], 50 + window[1]), 12, dark, (12, 12, 12), 5)
    at = (60 + (window[0] - digits.width) // 2, 50 + (window[1] - digits.height) // 2)
    if colour != "black":
        glow = digits.filter(ImageFilter.GaussianBlur(14)).point(lambda level: level // 3)
        housing.paste(light, at, glow)
    housing.paste(light, at, digits)
    if below:
        ink = (235, 235, 235) if sum(frame) < 380 else (30, 30, 30)
        line = " ".join(filter(None, (random.choice(("NORDMESS", "DPM-3", "Kelling")), random.choice(UNITS))))
        write(draw, (housing.width / 2, housing.height - 20 - below / 2), line, random.choice(SANS), 50, ink)
    return housing


def _digits(random: Random, text: str, height: int) -> Image.Image:
    """A mask of the digits, in a segment font or drawn bar by bar."""
    file = random.choice((*SEGMENTS, None, None))
    return _bars(random, text, height) if file is None else text_mask(text, file, height)


BARS = {
    **{"0": "abcdef", "1": "bc", "2": "abged", "3": "abgcd", "4": "fgbc", "5": "afgcd", "6": "afgedc", "7": "abc"},
    **{"8": "abcdefg", "9": "abcdfg", "-": "g"},
}


def _bars(random: Random, text: str, height: int) -> Image.Image:
    """Seven bars a digit, with square or pointed ends, upright or leaning."""
    thick, wide = int(height * random.uniform(0.1, 0.16)), int(height * random.uniform(0.48, 0.58))
    gap, pitch = max(thick // 7, 2), int(wide * 1.32)
    mask = Image.new("L", (pitch * len(text) + height, height + thick))
    draw, x = ImageDraw.Draw(mask), height // 4
    pointed = random.random() < 0.6
    for letter in text:
        if letter == ".":
            left = x - pitch + wide + thick // 3
            draw.rectangle((left, height - thick, left + thick, height), 255)
            continue
        for bar in BARS[letter]:
            draw.polygon(_bar(bar, x, wide, height, thick, gap, pointed), 255)
        x += pitch + (thick if "." in text else 0)
    lean = random.choice((0.0, 0.0, 0.1))
    mask = mask.transform(mask.size, Image.Transform.AFFINE, (1, lean, -lean * height / 2, 0, 1, 0))
    return mask.crop(mask.getbbox())


def _bar(name: str, x: int, wide: int, height: int, thick: int, gap: int, pointed: bool) -> list[tuple[float, float]]:
    """The corners of one bar between two of the six nodes of a digit."""
    half = thick / 2
    left, right, top, middle, bottom = x + half, x + wide - half, half, height / 2, height - half
    ends = {
        **{
            "a": ((left, top), (right, top)),
            "g": ((left, middle), (right, middle)),
            "d": ((left, bottom), (right, bottom)),
        },
        **{"f": ((left, top), (left, middle)), "b": ((right, top), (right, middle))},
        **{"e": ((left, middle), (left, bottom)), "c": ((right, middle), (right, bottom))},
    }
    (x0, y0), (x1, y1) = ends[name]
    cut = half if pointed else 0
    if y0 == y1:
        x0, x1 = x0 + gap, x1 - gap
        return [
            (x0, y0),
            (x0 + cut, y0 - half),
            (x1 - cut, y0 - half),
            (x1, y0),
            (x1 - cut, y0 + half),
            (x0 + cut, y0 + half),
        ]
    y0, y1 = y0 + gap, y1 - gap
    return [
        (x0, y0),
        (x0 + half, y0 + cut),
        (x0 + half, y1 - cut),
        (x0, y1),
        (x0 - half, y1 - cut),
        (x0 - half, y0 + cut),
    ]


def _panel(random: Random, text: str) -> Image.Image:
    """A touch screen with one tile: caption, number, unit."""
    screen, tile, ink = random.choice(PANELS)
    picture = Image.new("RGB", (random.choice((480, 640, 600)) * SCALE, 400 * SCALE), screen)
    draw, file = ImageDraw.Draw(picture), random.choice(PRINTED)
    width, height = picture.size
    draw.rectangle((0, 0, width, height * 0.12), tuple(int(part * 0.7) for part in screen))
    draw.rounded_rectangle((width * 0.06, height * 0.2, width * 0.94, height * 0.9), 24, tile, (120, 130, 140), 3)
    write(draw, (width / 2, height * 0.3), random.choice(CAPTIONS), random.choice(SANS), height * 0.07, ink)
    mask = text_mask(text, file, 200, random.choice((0, 0, 8)))
    factor = min(width * 0.72 / mask.width, height * random.uniform(0.2, 0.3) / mask.height)
    mask = mask.resize((max(int(mask.width * factor), 1), max(int(mask.height * factor), 1)))
    picture.paste(ink, ((width - mask.width) // 2, int(height * 0.57) - mask.height // 2), mask)
    write(draw, (width / 2, height * 0.82), random.choice(UNITS), random.choice(SANS), height * 0.07, ink)
    return picture
