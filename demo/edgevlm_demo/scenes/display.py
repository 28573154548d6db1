"""The digital display: a number in seven-segment digits on a panel."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from edgevlm_demo.scenes import fonts
from edgevlm_demo.scenes.canvas import Canvas, Region, Sprite, opaque, small_angle
from edgevlm_demo.scenes.colours import Colour, jitter, mix
from edgevlm_demo.scenes.scene import BEFORE_POINT, IS_POINT, LAST, PLAIN, Fact, Mark, Style
from edgevlm_demo.scenes.segments import LIT, SEVEN_WITH_HOOK, Point, Shape, segment_polygons

COLOURS: dict[str, Colour] = {
    "red": (245, 45, 35),
    "green": (50, 235, 70),
    "amber": (250, 170, 20),
    "blue": (60, 110, 255),
    "white": (240, 242, 245),
    "black": (22, 24, 26),
}
MIN_HEIGHT = 24.0  # of a digit, in pixels at 168 x 168
MAX_HEIGHT = 48.0
MOST_DIGITS = 5


@dataclass(frozen=True)
class Display:
    text: str
    colour: str


@dataclass(frozen=True)
class _Point:
    """In heights of a digit: its side, its distance from the digit before, and how far it parts the two digits."""

    side: float
    left: float
    room: float


@dataclass(frozen=True)
class _Form:
    """Lengths in heights of a digit; `font` replaces the polygons in the held-out style."""

    width: float
    thickness: float
    spacing: float
    slant: float
    margin: float
    polygons: dict[str, list[Point]]
    hooked_seven: bool
    ghost: bool
    square_point: bool
    point: _Point
    font: str | None


def choose_display(random: Random, most: int) -> Display:
    """1-5 digits, together with a sign at most `most` characters; a point in two of five, a minus in one of five."""
    sign = "-" if most > 1 and random.random() < 0.2 else ""
    longest = min(MOST_DIGITS, most - len(sign))
    count = random.choices(range(1, longest + 1), (1, 3, 3, 3, 3)[:longest])[0]
    digits = "".join(str(random.randrange(10)) for _ in range(count))
    if count > 1 and random.random() < 0.45:
        point = random.randint(1, count - 1)
        whole = digits[:point]
        if point > 1 and whole[0] == "0":
            whole = str(random.randint(1, 9)) + whole[1:]
        digits = f"{whole}.{digits[point:]}"
    elif digits[0] == "0" and (count > 1 or sign):
        digits = str(random.randint(1, 9)) + digits[1:]
    return Display(sign + digits, random.choice(list(COLOURS)))


def display_sprite(random: Random, display: Display, height: float, style: Style = "plain") -> Sprite:
    """`height` of a digit in canvas pixels."""
    form = _choose_form(random, style)
    cells = _cells(display.text, form)
    margin = form.margin
    total = cells[-1][1] + form.width
    size = (round((total + form.slant + 2 * margin) * height), round((1 + 2 * margin) * height))
    panel, off, lit = _colours(random, display.colour)
    image = Image.new("RGBA", size, opaque(panel))
    draw = ImageDraw.Draw(image)
    if random.random() < 0.6:
        draw.rectangle(
            (0, 0, size[0] - 1, size[1] - 1),
            outline=jitter(random, (110, 110, 110), 60),
            width=random.randint(1, max(1, round(0.08 * height))),
        )
    sprite = Sprite(image, [Mark(f"{display.colour} panel", (0, 0, *size))])
    last, place = len(cells) - 1, 0
    for index, (character, x) in enumerate(cells):
        x0, y0 = (margin + x) * height, margin * height
        if character == ".":
            box = _point_box(x0 / height, form, height)
            (draw.rectangle if form.square_point else draw.ellipse)(box, fill=opaque(lit))
            sprite.marks.append(Mark(".", box, follow=IS_POINT))
            continue
        _digit(image, draw, form, character, (x0, y0), height, off, lit)
        place += 1
        before = index < last and cells[index + 1][0] == "."
        follow = BEFORE_POINT if before else LAST if index == last else PLAIN
        box = (x0, y0, x0 + (form.width + form.slant) * height, y0 + height)
        sprite.marks.append(Mark(character, box, place, follow))
    return sprite


def most_characters(width: float) -> int:
    """How many digits and signs of the smallest height are sure to fit into `width` pixels at 168 x 168."""
    return min(MOST_DIGITS + 1, int((0.9 * width / MIN_HEIGHT - 1.15) / 0.78))


def draw(canvas: Canvas, region: Region) -> Display:
    random = canvas.random
    width, height = canvas.size(region)
    display = choose_display(random, most_characters(width))
    angle = small_angle(random)
    # 0.9: room for the rotation
    fit = min(0.9 * width / _widest(display.text), 0.9 * height / 1.8)
    size = random.uniform(min(MIN_HEIGHT, fit), max(MIN_HEIGHT, min(MAX_HEIGHT, fit)))
    sprite = display_sprite(random, display, size * canvas.unit, canvas.style)
    canvas.place(sprite, region, angle=angle)
    return display


def facts(display: Display, random: Random) -> tuple[Fact, ...]:
    """Families and answers; the wording is chosen elsewhere."""
    return (Fact("display reading", "", display.text), Fact("digit colour", "", display.colour))


def phrase(display: Display) -> str:
    return f"a digital display with {display.colour} digits"


def _widest(text: str) -> float:
    """An upper bound of the sprite's width, in heights of a digit."""
    signs = sum(c != "." for c in text)
    return 0.78 * signs + (0.19 if "." in text else 0.0) + 0.92


def _choose_form(random: Random, style: Style) -> _Form:
    width, thickness = random.uniform(0.5, 0.6), random.uniform(0.1, 0.18)
    # a pitch of at least 0.62 x 24 pixels leaves no two digits' centres in one patch
    spacing = max(random.uniform(0.1, 0.18), 0.62 - width)
    slant, margin, gap = random.uniform(0.0, 0.12), random.uniform(0.15, 0.4), random.uniform(0.0, 0.03)
    shape: Shape = "blunt" if random.random() < 0.3 else "pointed"
    hooks = 0.25
    if style == "varied" and random.random() < 0.6:
        shape, thickness, hooks = "mitred", random.uniform(0.07, 0.18), 0.6
    point = _Point(max(0.15, thickness), 0.07, 0.18)
    if style == "varied" and random.random() < 0.65:
        spacing = max(spacing, random.uniform(0.14, 0.18))
        point = _narrow_point(random, spacing)
    return _Form(
        width,
        thickness,
        spacing,
        slant,
        margin,
        polygons=segment_polygons(width, thickness, gap, shape),
        hooked_seven=random.random() < hooks,
        ghost=random.random() < 0.4,
        square_point=random.random() < 0.4,
        point=point,
        font=random.choice(fonts.SEGMENTS_HELD_OUT) if style == "held out" else None,
    )


def _narrow_point(random: Random, spacing: float) -> _Point:
    """Between two digits that stand hardly farther apart for it, as in a module of seven segments and a point."""
    left, room = random.uniform(0.0, 0.05), random.choice((0.0, 0.0, random.uniform(0.0, 0.15)))
    return _Point(min(random.uniform(0.09, 0.16), spacing + room - left - 0.02), left, room)


def _digit(
    image: Image.Image,
    draw: ImageDraw.ImageDraw,
    form: _Form,
    character: str,
    corner: tuple[float, float],
    height: float,
    off: Colour,
    lit: Colour,
) -> None:
    x0, y0 = corner
    ghost = form.ghost and character != "-"
    if form.font:
        shape = (round((form.width + form.slant) * height), round(height))
        for text, colour in ((("8", off),) if ghost else ()) + ((character, lit),):
            drawn = fonts.cell(form.font, text).resize(shape, Image.Resampling.BILINEAR, reducing_gap=2.0)
            image.paste(colour, (round(x0), round(y0)), drawn)
        return
    names = SEVEN_WITH_HOOK if character == "7" and form.hooked_seven else LIT[character]
    for name, polygon in form.polygons.items():
        if name in names or ghost:
            corners = [(x0 + (px + form.slant * (1 - py)) * height, y0 + py * height) for px, py in polygon]
            draw.polygon(corners, fill=opaque(lit if name in names else off))


def _cells(text: str, form: _Form) -> list[tuple[str, float]]:
    """Characters and their left edges, in heights of a digit."""
    cells, x = [], 0.0
    for character in text:
        if character == ".":
            cells.append((character, x - form.spacing + form.point.left))
            x += form.point.room
        else:
            cells.append((character, x))
            x += form.width + form.spacing
    return cells


def _point_box(x: float, form: _Form, height: float) -> tuple[float, float, float, float]:
    side = form.point.side
    bottom = form.margin + 1
    return (x * height, (bottom - side) * height, (x + side) * height, bottom * height)


def _colours(random: Random, name: str) -> tuple[Colour, Colour, Colour]:
    """Panel, unlit segment, lit segment."""
    if name == "black":
        grey = random.randint(140, 205)
        panel = jitter(random, (grey - 10, grey + 5, grey - 20), 10)
    else:
        panel = jitter(random, (24, 24, 26), 18)
    lit = jitter(random, COLOURS[name], 14)
    return panel, mix(panel, lit, random.uniform(0.02, 0.1)), lit
