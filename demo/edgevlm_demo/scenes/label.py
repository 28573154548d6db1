"""The label: a heading that says what kind of number it is, and 4-6 printed characters."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from edgevlm_demo.scenes import fonts
from edgevlm_demo.scenes.canvas import Canvas, Region, Sprite, opaque, small_angle
from edgevlm_demo.scenes.colours import Colour, jitter
from edgevlm_demo.scenes.scene import LABEL_KINDS, LAST, PLAIN, Fact, Mark, Style

ALPHABET = "0123456789ACEHKP"  # no two of them look alike
HEADINGS = {
    "serial number": ("SERIAL NO", "SERIAL", "S/N", "SER NO"),
    "lot number": ("LOT NO", "LOT", "LOT NUMBER", "LOT #"),
    "part number": ("PART NO", "PART", "P/N", "PART NUMBER"),
}
PAPERS = ((236, 236, 232), (240, 220, 110), (190, 194, 198), (205, 225, 235), (225, 200, 180))
DARK_PAPERS = ((30, 32, 38), (30, 60, 120), (20, 90, 60), (140, 30, 30))
MIN_HEIGHT = 17.0  # of a character, in pixels at 168 x 168
MAX_HEIGHT = 30.0
SHORTEST, LONGEST = 4, 6


@dataclass(frozen=True)
class Label:
    kind: str
    text: str


def choose_label(random: Random, longest: int) -> Label:
    length = random.randint(SHORTEST, min(LONGEST, longest))
    text = "".join(random.choice(ALPHABET) for _ in range(length))
    return Label(random.choice(LABEL_KINDS), text)


def label_sprite(random: Random, label: Label, height: float, style: Style = "plain") -> Sprite:
    """`height` of a character in canvas pixels."""
    font, heading = random.choice(fonts.names(style)), random.choice(HEADINGS[label.kind])
    # a pitch of at least 0.86 x 17 pixels leaves no two character centres in one patch
    pitch = random.uniform(0.86, 1.02) * height
    stretch, stroke = random.uniform(0.88, 1.12), random.choice((0, 0, 1, 2, 3))
    margin = random.uniform(0.3, 0.5) * height
    heading_height = random.uniform(0.5, 0.65) * height
    head = fonts.of_height(font, heading, heading_height)
    # a wide heading is squeezed rather than let it outgrow a short label
    widest = round(max(pitch * len(label.text), 4.1 * height))
    if head.width > widest:
        head = head.resize((widest, head.height))
    line = pitch * len(label.text)
    size = (round(max(line, head.width) + 2 * margin), round(height + heading_height + 2.8 * margin))
    paper, ink = _colours(random)
    image = Image.new("RGBA", size, opaque(paper))
    draw = ImageDraw.Draw(image)
    if random.random() < 0.5:
        edge = (0, 0, size[0] - 1, size[1] - 1)
        draw.rectangle(edge, outline=opaque(ink), width=random.randint(1, 2))
    top = 0.8 * margin
    image.paste(ink, (round(margin), round(top)), head)
    sprite = Sprite(image, [Mark("paper", (0, 0, *size))])
    sprite.marks.append(Mark(label.kind, (margin, top, margin + head.width, top + heading_height)))
    top += heading_height + margin
    left = margin + random.uniform(0, max(0.0, size[0] - 2 * margin - line))
    for index, character in enumerate(label.text):
        glyph = fonts.mask(font, character, stroke)
        width = min(0.97 * pitch, glyph.width * height / glyph.height * stretch)
        drawn = fonts.scaled(font, character, stroke, max(1, round(width)), round(height))
        centre = left + (index + 0.5) * pitch
        image.paste(ink, (round(centre - drawn.width / 2), round(top)), drawn)
        follow = LAST if index == len(label.text) - 1 else PLAIN
        box = (centre - pitch / 2, top, centre + pitch / 2, top + height)
        sprite.marks.append(Mark(character, box, index + 1, follow))
    return sprite


def draw(canvas: Canvas, region: Region) -> Label:
    random = canvas.random
    width, height = canvas.size(region)
    label = choose_label(random, longest_text(width))
    angle = small_angle(random)
    fit = min(0.92 * width / (1.02 * len(label.text) + 1.1), 0.9 * height / 3.05)
    size = random.uniform(min(MIN_HEIGHT, fit), max(MIN_HEIGHT, min(MAX_HEIGHT, fit)))
    sprite = label_sprite(random, label, size * canvas.unit, canvas.style)
    canvas.place(sprite, region, angle=angle)
    return label


def longest_text(width: float) -> int:
    """How many characters of the smallest height are sure to fit into `width` pixels at 168 x 168."""
    return max(SHORTEST, int((0.92 * width / MIN_HEIGHT - 1.1) / 1.02))


def facts(label: Label, random: Random) -> tuple[Fact, ...]:
    """Families and answers; the wording is chosen elsewhere."""
    return (Fact("label text", label.kind, label.text), Fact("label kind", "", label.kind))


def phrase(label: Label) -> str:
    return f"a label with a {label.kind}"


def _colours(random: Random) -> tuple[Colour, Colour]:
    """Paper and ink: one label in seven is printed in white."""
    if random.random() < 1 / 7:
        return jitter(random, random.choice(DARK_PAPERS), 12), jitter(random, (238, 238, 234), 14)
    return jitter(random, random.choice(PAPERS), 12), jitter(random, (30, 30, 36), 20)
