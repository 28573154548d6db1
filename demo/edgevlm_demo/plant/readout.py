"""A number on a display: seven-segment digits, or printed ones on an operator panel with tags and units."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from edgevlm_demo.plant.lettering import line, word, write
from edgevlm_demo.plant.scales import QUANTITIES
from edgevlm_demo.plant.shot import Region, Shot
from edgevlm_demo.scenes.canvas import Sprite, opaque
from edgevlm_demo.scenes.colours import Colour, jitter, mix, shade
from edgevlm_demo.scenes.display import COLOURS, MOST_DIGITS, Display, display_sprite
from edgevlm_demo.scenes.scene import Mark

LEAST_HEIGHT = 8.0  # of a digit, in pixels at 168 x 168
LEAST_SEGMENTS = 9.0
LEAST_POINT = 1.2  # the side of a decimal point
GROUNDS: tuple[Colour, ...] = (
    (18, 20, 24),
    (30, 34, 40),
    (10, 30, 60),
    (235, 237, 240),
    (250, 250, 250),
    (200, 205, 210),
    (150, 165, 140),
    (60, 70, 80),
    (0, 60, 60),
)
LETTERS = ("TT", "PT", "FT", "LT", "TI", "PI", "FI", "LI", "TIC", "PIC", "SI", "WT", "P", "T", "M", "V", "AI", "HV")
NAMES = {
    "temperature": ("Temperature", "TEMP", "Temp.", "Oven", "Tank temp"),
    "pressure": ("Pressure", "PRESS", "Line pressure"),
    "level": ("Level", "LEVEL", "Tank level"),
    "speed": ("Speed", "SPEED", "Belt speed"),
    "flow": ("Flow", "FLOW"),
    "current": ("Current", "CURRENT"),
    "voltage": ("Voltage", "VOLTAGE"),
    "weight": ("Weight", "NET", "GROSS"),
    "distance": ("Distance", "LENGTH"),
    "frequency": ("Frequency", "FREQ"),
    "power": ("Power", "POWER"),
    "time": ("Time", "TIMER"),
}


@dataclass(frozen=True)
class Value:
    """One number with what stands beside it; `tag` and `unit` may be empty."""

    tag: str
    text: str
    unit: str

    @property
    def quantity(self) -> str:
        return QUANTITIES.get(self.unit, "")


@dataclass(frozen=True)
class Readout:
    values: tuple[Value, ...]
    colour: str  # of the digits, or "" where they are none of the six colours
    legible: bool


def choose_number(random: Random, most: int = 6) -> str:
    """Up to `most` digits, sign aside; with a point in three of five, negative in one of eight."""
    count = random.choices(range(1, most + 1), (2, 5, 8, 8, 4, 2)[:most])[0]
    digits = "".join(str(random.randrange(10)) for _ in range(count))
    whole = count
    if count > 1 and random.random() < 0.6:
        whole = random.randint(max(1, count - 3), count - 1)
    if digits[0] == "0" and whole > 1:
        digits = str(random.randint(1, 9)) + digits[1:]
    text = digits if whole == count else f"{digits[:whole]}.{digits[whole:]}"
    return f"-{text}" if random.random() < 0.12 and text.strip("0.") else text


def draw(shot: Shot, region: Region) -> Readout:
    return _segments(shot, region) if shot.random.random() < 0.45 else _panel(shot, region)


def _segments(shot: Shot, region: Region) -> Readout:
    random = shot.random
    text = choose_number(random, MOST_DIGITS)
    display = Display(text, random.choice(list(COLOURS)))
    share = random.uniform(0.2, 0.6) if random.random() < 0.5 else random.uniform(0.5, 1.0)
    width, height = region[2] - region[0], region[3] - region[1]
    tall = min(share * width / (0.72 * len(text) + 0.9), height / 1.9)
    sprite = display_sprite(random, display, max(6.0, tall), random.choice(("plain", "varied", "varied")))
    unit = ""
    if random.random() < 0.35:
        unit = random.choice(list(QUANTITIES))
        sprite = _boxed(shot, sprite, unit, tall)
    paper = (170, 180, 160) if display.colour == "black" else (24, 24, 26)
    points = [mark.box[2] - mark.box[0] for mark in sprite.marks if mark.kind == "."]
    least = max([LEAST_SEGMENTS, *(LEAST_POINT * max(6.0, tall) / side for side in points)])
    legible = shot.place_print(sprite, region, tall, least, COLOURS[display.colour], paper)
    return Readout((Value("", text, unit),), display.colour, legible)


def _boxed(shot: Shot, sprite: Sprite, unit: str, tall: float) -> Sprite:
    """The display in the housing of an instrument, with the unit and perhaps keys."""
    random = shot.random
    printed = line(random.choice(shot.supplies.fonts), unit, max(5.0, 0.45 * tall))
    margin = round(random.uniform(0.2, 0.6) * tall)
    keys = round(random.choice((0, 0.8)) * tall)
    housing = jitter(random, random.choice(((45, 47, 50), (200, 200, 195), (90, 95, 100), (40, 60, 90))), 15)
    width = sprite.image.width + printed.mask.width + 3 * margin
    image = Image.new("RGBA", (width, sprite.image.height + 2 * margin + keys), opaque(housing))
    draw = ImageDraw.Draw(image)
    image.paste(sprite.image, (margin, margin))
    ink = (230, 230, 230) if sum(housing) < 380 else (30, 30, 30)
    image.paste(ink, (sprite.image.width + 2 * margin, margin + sprite.image.height // 2), printed.mask)
    for key in range(4 if keys else 0):
        x, y = margin + key * (width - 2 * margin) // 4, margin + sprite.image.height + keys // 3
        draw.rounded_rectangle(
            (x, y, x + keys, y + keys * 0.8), 2, fill=opaque(shade(housing, 1.5)), outline=opaque(shade(housing, 0.6))
        )
    moved = []
    for m in sprite.marks:
        x0, y0, x1, y1 = m.box
        moved.append(Mark(m.kind, (x0 + margin, y0 + margin, x1 + margin, y1 + margin), m.order, m.follow))
    return Sprite(image, moved)


def _panel(shot: Shot, region: Region) -> Readout:
    """Rows of tag, number and unit on a flat ground."""
    random, fonts = shot.random, shot.supplies.fonts
    rows = random.choices((1, 2, 3), (7, 2, 1))[0]
    values = _choose_values(random, rows)
    ground = jitter(random, random.choice(GROUNDS), 14)
    colour, ink = _ink(random, ground)
    font, small_font = random.choice(fonts), random.choice(fonts)
    share = random.uniform(0.22, 0.6) if random.random() < 0.5 else random.uniform(0.55, 1.0)
    above = random.random() < 0.5  # the tag stands above its number
    # a tile of a touch screen has small words around a large number
    small = random.uniform(0.25, 0.5) if random.random() < 0.4 else random.uniform(0.45, 0.9)
    spacing = random.choice((0.0, 0.0, 0.0, random.uniform(0.02, 0.12)))
    width, height = share * (region[2] - region[0]), region[3] - region[1]
    longest = max(
        (0.72 + spacing) * len(v.text) + small * (0.75 * (len(v.unit) + (0 if above else len(v.tag))) + 1)
        for v in values
    )
    tall = max(4.0, min(width / (longest + 1), 0.9 * height / (rows * (2.4 if above else 1.7) + 0.6)))
    lines = []
    for value in values:
        tag = line(small_font, value.tag, small * tall) if value.tag else None
        lines.append(
            (
                tag,
                line(font, value.text, tall, spacing=spacing),
                line(small_font, value.unit, small * tall) if value.unit else None,
            )
        )
    gap = 0.5 * tall
    left = 0.0 if above else max((tag.mask.width + gap for tag, _, _ in lines if tag), default=0.0)
    right = max(number.mask.width + (gap + unit.mask.width if unit else 0) for _, number, unit in lines)
    wide = max(left + right, *(tag.mask.width if tag and above else 0 for tag, _, _ in lines)) + 2 * gap
    pitch = tall * (random.uniform(2.2, 2.6) if above else random.uniform(1.5, 2.0))
    header = random.random() < 0.25
    top = (1.4 * tall if header else 0.0) + random.uniform(0.3, 0.8) * tall
    size = (max(4, round(wide)), max(4, round(top + rows * pitch + 0.3 * tall)))
    sprite = Sprite(Image.new("RGBA", size, opaque(ground)), [Mark("panel", (0, 0, *size))])
    draw = ImageDraw.Draw(sprite.image)
    quiet = mix(ground, ink if colour == "" else _plain(ground), random.uniform(0.6, 1.0))
    if header:
        bar = jitter(random, random.choice(((30, 90, 160), (90, 90, 95), (20, 120, 90))), 20)
        draw.rectangle((0, 0, size[0], 1.2 * tall), fill=opaque(bar))
        write(sprite, line(small_font, word(random), 0.5 * tall), (gap, 0.3 * tall), (240, 240, 240), read=False)
    if random.random() < 0.4:
        draw.rectangle(
            (0, 0, size[0] - 1, size[1] - 1),
            outline=opaque(jitter(random, (120, 120, 125), 50)),
            width=random.randint(1, 4),
        )
    for row, (tag, number, unit) in enumerate(lines):
        y = top + row * pitch
        if tag:
            write(sprite, tag, (gap, y + (0 if above else tall * (1 - small))), quiet)
        y += 1.15 * small * tall if above else 0.0
        if random.random() < 0.25:
            box = (gap + left - 3, y - 3, gap + left + number.mask.width + 3, y + number.mask.height + 3)
            draw.rectangle(box, outline=opaque(mix(ground, quiet, 0.5)))
        write(sprite, number, (gap + left, y), ink)
        if unit:
            write(
                sprite, unit, (gap + left + number.mask.width + 0.6 * gap, y + tall * (1 - small)), quiet, read=False
            )
    named = tall * small if rows > 1 else tall
    legible = shot.place_print(sprite, region, named, LEAST_HEIGHT, ink, ground)
    return Readout(tuple(values), colour, legible)


def _choose_values(random: Random, rows: int) -> list[Value]:
    values: list[Value] = []
    while len(values) < rows:
        unit = random.choice(list(QUANTITIES)) if random.random() < 0.75 else ""
        value = Value(_tag(random, unit, needed=rows > 1), choose_number(random, 6 if rows == 1 else 5), unit)
        if all(value.tag != other.tag and value.quantity != other.quantity for other in values):
            values.append(value)
    return values


def _tag(random: Random, unit: str, *, needed: bool) -> str:
    if not needed and random.random() < 0.45:
        return ""
    if unit and random.random() < 0.4:
        return random.choice(NAMES[QUANTITIES[unit]])
    number = random.choice((f"{random.randint(1, 99)}", f"{random.randint(100, 999)}", f"{random.randint(1, 9)}"))
    return random.choice(LETTERS) + random.choice(("-", "-", " ", "")) + number


def _ink(random: Random, ground: Colour) -> tuple[str, Colour]:
    """The name of the digits' colour, if it is one of the six, and the colour."""
    dark = sum(ground) < 330
    names = ("white", "white", "green", "amber", "red") if dark else ("black", "black", "black", "red", "blue")
    name = random.choice(names)
    if random.random() < 0.2:
        return "", jitter(
            random, random.choice(((0, 200, 220), (180, 220, 255)) if dark else ((0, 60, 90), (90, 0, 90))), 20
        )
    return name, jitter(random, COLOURS[name], 14)


def _plain(ground: Colour) -> Colour:
    return (235, 235, 235) if sum(ground) < 330 else (25, 25, 28)
