"""The label: a heading that says what kind of number it is, and 4-5 printed characters."""

from dataclasses import dataclass
from functools import cache
from random import Random

from PIL import Image, ImageDraw, ImageFont

from edgevlm_demo.scenes.canvas import Canvas, Sprite, jitter, small_angle
from edgevlm_demo.scenes.scene import LABEL_KINDS, LAST, PLAIN, Fact, Mark

ALPHABET = "0123456789ACEHKP"  # no two of them look alike
HEADINGS = {
    "serial number": ("SERIAL NO", "SERIAL", "S/N"),
    "lot number": ("LOT NO", "LOT", "LOT NUMBER"),
    "part number": ("PART NO", "PART", "P/N"),
}
PAPERS = ((236, 236, 232), (240, 220, 110), (190, 194, 198), (205, 225, 235))
MIN_HEIGHT = 17.0  # of a character, in pixels at 168 x 168
MAX_HEIGHT = 28.0


@dataclass(frozen=True)
class Label:
    kind: str
    text: str


def choose_label(random: Random) -> Label:
    text = "".join(random.choice(ALPHABET) for _ in range(random.randint(4, 5)))
    return Label(random.choice(LABEL_KINDS), text)


def label_sprite(random: Random, label: Label, height: float) -> Sprite:
    """`height` of a character in canvas pixels."""
    heading = random.choice(HEADINGS[label.kind])
    # a pitch of at least 0.86 x 17 pixels leaves no two character centres in one patch
    pitch = random.uniform(0.86, 1.02) * height
    stretch, stroke = random.uniform(0.85, 1.1), random.randrange(4)
    margin = random.uniform(0.3, 0.5) * height
    heading_height = random.uniform(0.5, 0.65) * height
    head = _word(heading, heading_height)
    line = pitch * len(label.text)
    size = (round(max(line, head.width) + 2 * margin), round(height + heading_height + 2.8 * margin))
    paper = jitter(random, random.choice(PAPERS), 12)
    ink = jitter(random, (30, 30, 36), 20)
    image = Image.new("RGBA", size, (*paper, 255))
    draw = ImageDraw.Draw(image)
    if random.random() < 0.6:
        edge = (0, 0, size[0] - 1, size[1] - 1)
        draw.rectangle(edge, outline=(*ink, 255), width=random.randint(1, 2))
    top = 0.8 * margin
    image.paste(ink, (round(margin), round(top)), head)
    sprite = Sprite(image, [Mark("paper", (0, 0, *size))])
    box = (margin, top, margin + head.width, top + heading_height)
    sprite.marks.append(Mark(label.kind, box))
    top += heading_height + margin
    for index, character in enumerate(label.text):
        glyph = _glyph(character, stroke)
        shape = (max(1, round(glyph.width * height / glyph.height * stretch)), round(height))
        drawn = glyph.resize(shape, Image.Resampling.BILINEAR, reducing_gap=2.0)
        centre = margin + (index + 0.5) * pitch
        image.paste(ink, (round(centre - drawn.width / 2), round(top)), drawn)
        follow = LAST if index == len(label.text) - 1 else PLAIN
        box = (centre - pitch / 2, top, centre + pitch / 2, top + height)
        sprite.marks.append(Mark(character, box, index + 1, follow))
    return sprite


def draw(canvas: Canvas) -> Label:
    label = choose_label(canvas.random)
    angle = small_angle(canvas.random)
    fit = min(0.9 * canvas.width / (1.02 * len(label.text) + 1.0), 0.9 * canvas.height / 3.05) / canvas.unit
    height = canvas.random.uniform(min(MIN_HEIGHT, fit), max(MIN_HEIGHT, min(MAX_HEIGHT, fit)))
    canvas.place(label_sprite(canvas.random, label, height * canvas.unit), angle=angle)
    return label


def facts(label: Label) -> tuple[Fact, ...]:
    """Families and answers; the wording is chosen elsewhere."""
    return (
        Fact("label text", label.kind, label.text),
        Fact("label kind", "", label.kind),
        Fact("description", "", f"A label with a {label.kind}."),
    )


@cache
def _glyph(character: str, stroke: int) -> Image.Image:
    """The character's mask, 64 pixels tall or nearly, cut to its ink; `stroke` thickens it, in pixels."""
    font = ImageFont.load_default(size=88)
    x0, y0, x1, y1 = font.getbbox(character, stroke_width=stroke)
    mask = Image.new("L", (round(x1 - x0), round(y1 - y0)))
    ImageDraw.Draw(mask).text((-x0, -y0), character, font=font, fill=255, stroke_width=stroke)
    return mask


@cache
def _heading(text: str) -> Image.Image:
    font = ImageFont.load_default(size=44)
    x0, y0, x1, y1 = font.getbbox(text)
    mask = Image.new("L", (round(x1 - x0), round(y1 - y0)))
    ImageDraw.Draw(mask).text((-x0, -y0), text, font=font, fill=255)
    return mask


def _word(text: str, height: float) -> Image.Image:
    mask = _heading(text)
    size = (round(mask.width * height / mask.height), round(height))
    return mask.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
