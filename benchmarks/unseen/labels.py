"""Labels as printers make them, and engraved nameplates with several lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

from PIL import Image, ImageDraw

from benchmarks.unseen.canvas import SCALE, Colour, box, finished, photographed, wall
from benchmarks.unseen.fonts import PRINTED, SANS, font
from benchmarks.unseen.question import Question, Truth

KNOWN = "0123456789ACEHKP"
"""What the demo model says that it reads."""

OTHERS = "0123456789ABCDEFGHJKLMNPRSTUVWXYZ"
KINDS = {
    "serial number": ("Serial No.", "S/N", "SERIAL NO", "Serial number", "Ser. No."),
    "lot number": ("Lot No.", "LOT", "Lot", "Lot number"),
    "part number": ("Part No.", "P/N", "PART NO", "Part number"),
}
PAPERS: tuple[tuple[Colour, Colour], ...] = (
    ((252, 252, 250), (15, 15, 15)),
    ((248, 244, 220), (20, 20, 20)),
    ((250, 214, 60), (15, 15, 15)),
    ((30, 70, 140), (245, 245, 245)),
    ((25, 25, 25), (235, 235, 235)),
)
METALS: tuple[tuple[Colour, Colour], ...] = (
    ((186, 190, 192), (30, 32, 34)),
    ((40, 42, 44), (214, 216, 216)),
    ((196, 172, 106), (40, 30, 15)),
)
OTHER_LINES = (
    *("Type GX-40", "Model RM 220", "400 V 50 Hz", "1.5 kW", "IP 54", "24 V DC", "Made in Denmark", "Year 2019"),
    *("max. 16 bar", "EN 60034", "3.2 A", "n 1450 rpm", "12.4 kg"),
)
MAKERS = ("NORDMESS", "Kelling GmbH", "VENTO PUMPS", "ATK Drives", "Pressura AG")


class Line(NamedTuple):
    """What is printed, how large in shares of the largest, and whether from the left or in the middle."""

    text: str
    size: float = 1.0


def code(random: Random, letters: str) -> str:
    """Four to six characters, at least two of them digits."""
    length = random.randint(4, 6)
    while True:
        text = "".join(random.choice(letters) for _ in range(length))
        if sum(letter.isdigit() for letter in text) >= 2:
            return text


def labels(random: Random, family: str, *, photo: bool = False, letters: str = KNOWN) -> Iterator[Question]:
    """Endless: a printed label with a heading and its number."""
    while True:
        kind, text = random.choice(list(KINDS)), code(random, letters)
        heading, file = random.choice(KINDS[kind]), random.choice(PRINTED)
        one = random.random() < 0.3
        lines = [Line(f"{heading} {text}")] if one else [Line(heading, random.uniform(0.45, 0.8)), Line(text)]
        if random.random() < 0.3:
            lines.insert(0, Line(random.choice(MAKERS), 0.5))
        label = _printed(lines, file, random.choice(PAPERS), random)
        yield _question(random, family, _shown(label, random, photo), kind, text)


def nameplates(random: Random, family: str, *, photo: bool = False) -> Iterator[Question]:
    """Endless: a plate with a maker, figures of the machine, and the number that is asked for."""
    while True:
        kind, text = random.choice(list(KINDS)), code(random, KNOWN)
        lines = [Line(f"{random.choice(KINDS[kind])} {text}")]
        lines += [Line(other) for other in random.sample(OTHER_LINES, random.randint(2, 3))]
        random.shuffle(lines)
        lines.insert(0, Line(random.choice(MAKERS), 1.25))
        plate = _printed(lines, random.choice(SANS), random.choice(METALS), random)
        _screws(plate)
        yield _question(random, family, _shown(plate, random, photo), kind, text)


def _question(random: Random, family: str, picture: Image.Image, kind: str, text: str) -> Question:
    words = (f"What is the {kind}?", f"What is the {kind} on the label?", f"Which {kind} is on the label?")
    return Question(family, picture, random.choice(words), Truth((text,)))


def _printed(lines: Sequence[Line], file: str, colours: tuple[Colour, Colour], random: Random) -> Image.Image:
    """The label alone, its largest line some 90 pixels high."""
    paper, ink = colours
    faces = [font(file, int(90 * line.size)) for line in lines]
    margin, between = random.randint(40, 80), random.randint(18, 36)
    width = max(int(face.getlength(line.text)) for face, line in zip(faces, lines, strict=True)) + 2 * margin
    height = sum(int(face.size) for face in faces) + between * (len(lines) - 1) + 2 * margin
    label = Image.new("RGB", (width, height), paper)
    draw, y, centred = ImageDraw.Draw(label), float(margin), random.random() < 0.4
    for face, line in zip(faces, lines, strict=True):
        x = width / 2 if centred else margin
        draw.text((x, y), line.text, ink, face, anchor="ma" if centred else "la")
        y += face.size + between
    if random.random() < 0.5:
        draw.rounded_rectangle((8, 8, width - 9, height - 9), 16, None, ink, 4)
    return label


def _screws(plate: Image.Image) -> None:
    draw = ImageDraw.Draw(plate)
    for x in (26, plate.width - 26):
        for y in (26, plate.height - 26):
            draw.ellipse(box((x, y), 13), (120, 122, 124), (60, 60, 60), 3)


def _shown(label: Image.Image, random: Random, photo: bool) -> Image.Image:
    """On a machine; a photographed one is smaller."""
    picture = wall(random, 640, 480)
    share = random.uniform(0.45, 0.7) if photo else random.uniform(0.75, 0.92)
    factor = min(share * picture.width / label.width, 0.8 * picture.height / label.height)
    label = label.resize((int(label.width * factor), int(label.height * factor)), Image.Resampling.LANCZOS)
    left = random.randint(SCALE * 6, picture.width - label.width - SCALE * 6)
    top = random.randint(SCALE * 6, picture.height - label.height - SCALE * 6)
    picture.paste(label, (left, top))
    return photographed(finished(picture), random) if photo else finished(picture)
