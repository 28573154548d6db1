"""Labels and nameplates as printers and engravers make them: one code, or several lines with keys.

**The rule for O and 0**: codes hold no letters O and I. What is round is a zero, what is a bar is a one.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from edgevlm_demo.plant.lettering import Line, dotted, line, word, write
from edgevlm_demo.plant.shot import Region, Shot
from edgevlm_demo.scenes.canvas import Sprite, opaque
from edgevlm_demo.scenes.colours import Colour, jitter, mix, shade
from edgevlm_demo.scenes.scene import Mark

LEAST_HEIGHT = 8.0  # of a character, in pixels at 168 x 168
LETTERS = "".join(letter for letter in string.ascii_uppercase if letter not in "IO")
KEYS = {
    "serial number": (
        "S/N",
        "SN",
        "SERIAL NO",
        "Serial No.",
        "SERIAL",
        "Serial",
        "SER. NO.",
        "Serial number",
        "S/N:",
        "SN:",
    ),
    "lot number": ("LOT", "Lot", "LOT NO", "Lot No.", "LOT:", "BATCH", "Lot number", "LOT #"),
    "part number": ("P/N", "PN", "PART NO", "Part No.", "PART", "P/N:", "Part number", "PART #"),
    "model": ("MODEL", "Model", "TYPE", "Type", "MOD.", "Model:", "MODEL NO"),
    "date": ("DATE", "Date", "MFG DATE", "MFD", "Date:", "EXP"),
    "voltage": ("VOLTAGE", "Voltage", "V", "SUPPLY", "U"),
    "power": ("POWER", "Power", "P"),
}
CODES = ("serial number", "lot number", "part number")
PAPERS: tuple[Colour, ...] = (
    (245, 245, 242),
    (236, 236, 232),
    (240, 220, 110),
    (190, 194, 198),
    (205, 225, 235),
    (225, 200, 180),
)
METALS: tuple[Colour, ...] = ((175, 178, 182), (150, 152, 156), (200, 180, 130), (120, 122, 126))
DARK: tuple[Colour, ...] = ((30, 32, 38), (30, 60, 120), (20, 90, 60), (140, 30, 30), (20, 20, 22))


@dataclass(frozen=True)
class Entry:
    kind: str  # a key of KEYS, or "" for a code without one
    text: str


@dataclass(frozen=True)
class Nameplate:
    entries: tuple[Entry, ...]
    legible: bool


def choose_code(random: Random, most: int = 10) -> str:
    """4 to `most` characters, in the patterns that factories use."""
    pattern = random.choice(("digits", "mixed", "mixed", "letters first", "hyphen", "hyphen", "two hyphens"))
    length = random.randint(4, most)
    if pattern == "digits":
        return _some(random, string.digits, length)
    if pattern == "mixed":
        return _some(random, string.digits + LETTERS, length)
    if pattern == "letters first":
        letters = random.randint(1, 3)
        return _some(random, LETTERS, letters) + _some(random, string.digits, length - letters)
    parts = 2 if pattern == "hyphen" or length < 7 else 3
    sets = [random.choice((string.digits, string.digits, LETTERS, string.digits + LETTERS)) for _ in range(parts)]
    each = max(1, (length - parts + 1) // parts)
    return "-".join(_some(random, chars, max(1, each + random.randint(-1, 1))) for chars in sets)


def draw(shot: Shot, region: Region) -> Nameplate:
    random = shot.random
    entries = _choose_entries(random)
    style = random.choice(("printed", "printed", "printed", "engraved", "dots"))
    paper, ink = _colours(random, style)
    sprite, tall = _sprite(shot, region, entries, style, paper, ink)
    legible = shot.place_print(sprite, region, tall, LEAST_HEIGHT, ink, paper)
    return Nameplate(tuple(entries), legible)


def _choose_entries(random: Random) -> list[Entry]:
    count = random.choices((1, 2, 3, 4), (6, 3, 2, 1))[0]
    if count == 1:
        return [Entry(random.choice((*CODES, *CODES, "model", "")), choose_code(random))]
    first = random.choice((*CODES, "model"))
    others = random.sample([kind for kind in KEYS if kind != first], count - 1)
    entries = [Entry(kind, _content(random, kind)) for kind in (first, *others)]
    random.shuffle(entries)
    return entries


def _content(random: Random, kind: str) -> str:
    if kind == "date":
        year, month = random.randint(2005, 2027), random.randint(1, 12)
        return random.choice(
            (f"{year}-{month:02d}", f"{month:02d}/{year}", f"{year}-{month:02d}-{random.randint(1, 28):02d}")
        )
    if kind == "voltage":
        return f"{random.choice((12, 24, 110, 115, 230, 240, 400, 480))} V"
    if kind == "power":
        return f"{random.choice((0.37, 0.75, 1.1, 1.5, 2.2, 4, 5.5, 7.5, 11, 15, 22))} kW"
    return choose_code(random, 8)


def _sprite(
    shot: Shot, region: Region, entries: list[Entry], style: str, paper: Colour, ink: Colour
) -> tuple[Sprite, float]:
    """The plate, and how tall its characters are in canvas pixels."""
    random, fonts = shot.random, shot.supplies.fonts
    font = random.choice(fonts)
    key_font = font if random.random() < 0.6 else random.choice(fonts)
    above = len(entries) == 1 and random.random() < 0.5
    key_size = random.uniform(0.55, 1.0) if len(entries) == 1 else random.uniform(0.75, 1.0)
    keys = [random.choice(KEYS[entry.kind]) if entry.kind else "" for entry in entries]
    spacing, stretch = random.choice((0.0, 0.0, 0.06, 0.15)), random.uniform(0.85, 1.1)
    share = random.uniform(0.3, 0.7) if random.random() < 0.3 else random.uniform(0.65, 1.0)
    trial = 20.0

    def lines(tall: float) -> list[tuple[Line, Line]]:
        return [
            (
                line(key_font, key, key_size * tall, width=stretch),
                line(font, entry.text, tall, spacing=spacing, width=stretch),
            )
            for key, entry in zip(keys, entries, strict=True)
        ]

    gap, pitch = random.uniform(0.4, 0.9), random.uniform(1.4, 2.1)
    rows = len(entries) * (2 if above else 1) + (random.random() < 0.25)
    wide = _width(lines(trial), above, gap * trial) / trial
    room = (region[2] - region[0], region[3] - region[1])
    tall = max(4.0, min(share * room[0] / wide, 0.9 * room[1] / (rows * pitch + 0.8)))
    set_lines = lines(tall)
    size = (max(4, round(_width(set_lines, above, gap * tall))), max(4, round((rows * pitch + 0.7) * tall)))
    sprite = Sprite(Image.new("RGBA", size, opaque(paper)), [Mark("paper", (0, 0, *size))])
    _furnish(random, sprite, paper, ink)
    y = 0.55 * tall
    if rows > len(entries) * (2 if above else 1):
        write(sprite, line(random.choice(fonts), word(random), 0.9 * tall), (gap * tall, y), ink, read=False)
        y += pitch * tall
    column = max(key.mask.width for key, _ in set_lines) + gap * tall if random.random() < 0.5 else None
    for key, code in set_lines:
        if style == "dots" and tall > 14:
            code = dotted(code)
        x = gap * tall
        _print(sprite, key, (x, y + (1 - key_size) * tall * (not above)), ink, style)
        if above:
            y += pitch * tall * 0.9
        elif key.characters:
            x += column or key.mask.width + 0.5 * tall
        _print(sprite, code, (x, y), ink, style)
        y += pitch * tall
    return sprite, tall * (1 if len(entries) == 1 else key_size)


def _width(lines: list[tuple[Line, Line]], above: bool, gap: float) -> float:
    if above:
        return max(max(key.mask.width, code.mask.width) for key, code in lines) + 2 * gap
    return max(key.mask.width for key, _ in lines) + max(code.mask.width for _, code in lines) + 3 * gap


def _print(sprite: Sprite, printed: Line, corner: tuple[float, float], ink: Colour, style: str) -> None:
    if not printed.characters:
        return
    if style == "engraved":
        edge = shade(ink, 2.2)
        write(sprite, printed, (corner[0] + 1, corner[1] + 1), mix(edge, (255, 255, 255), 0.5), read=False)
    write(sprite, printed, corner, ink)


def _furnish(random: Random, sprite: Sprite, paper: Colour, ink: Colour) -> None:
    """Perhaps an edge, and a screw at each side."""
    draw = ImageDraw.Draw(sprite.image)
    width, height = sprite.image.size
    if random.random() < 0.45:
        inset = random.choice((0, 0, 2))
        draw.rectangle(
            (inset, inset, width - 1 - inset, height - 1 - inset), outline=opaque(ink), width=random.randint(1, 2)
        )
    if random.random() < 0.2:
        reach = max(1, height // 16)
        for x in (2 + reach, width - 3 - reach):
            draw.ellipse(
                (x - reach, height / 2 - reach, x + reach, height / 2 + reach), fill=opaque(shade(paper, 0.6))
            )


def _colours(random: Random, style: str) -> tuple[Colour, Colour]:
    """Paper and ink."""
    if style != "printed":
        metal = jitter(random, random.choice(METALS), 15)
        return metal, shade(metal, random.uniform(0.15, 0.5))
    if random.random() < 0.22:
        return jitter(random, random.choice(DARK), 12), jitter(random, (238, 238, 234), 14)
    return jitter(random, random.choice(PAPERS), 12), jitter(
        random, random.choice(((25, 25, 30), (30, 30, 36), (20, 40, 110))), 18
    )


def _some(random: Random, characters: str, count: int) -> str:
    return "".join(random.choice(characters) for _ in range(count))
