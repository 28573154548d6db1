"""The digital display: a number in seven-segment digits on a panel."""

from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from edgevlm_demo.scenes.canvas import Canvas, Colour, Sprite, jitter, small_angle
from edgevlm_demo.scenes.scene import BEFORE_POINT, IS_POINT, LAST, PLAIN, Fact, Mark
from edgevlm_demo.scenes.segments import LIT, segment_polygons

COLOURS: dict[str, Colour] = {
    "red": (245, 45, 35),
    "green": (50, 235, 70),
    "amber": (250, 170, 20),
    "blue": (60, 110, 255),
    "white": (240, 242, 245),
    "black": (22, 24, 26),
}
MIN_HEIGHT = 24.0  # of a digit, in pixels at 168 x 168
MAX_HEIGHT = 44.0


@dataclass(frozen=True)
class Display:
    text: str
    colour: str


def choose_display(random: Random) -> Display:
    """2-4 digits; a decimal point in two of five, a minus sign in one of five."""
    count = random.randint(2, 4)
    digits = "".join(str(random.randrange(10)) for _ in range(count))
    if random.random() < 0.4:
        point = random.randint(1, count - 1)
        whole = digits[:point]
        if point > 1 and whole[0] == "0":
            whole = str(random.randint(1, 9)) + whole[1:]
        digits = f"{whole}.{digits[point:]}"
    elif digits[0] == "0":
        digits = str(random.randint(1, 9)) + digits[1:]
    sign = "-" if random.random() < 0.2 else ""
    return Display(sign + digits, random.choice(list(COLOURS)))


def display_sprite(random: Random, display: Display, height: float) -> Sprite:
    """`height` of a digit in canvas pixels."""
    width = random.uniform(0.5, 0.6)
    thickness = random.uniform(0.12, 0.17)
    polygons = segment_polygons(width, thickness, random.uniform(0.005, 0.025))
    spacing, slant = random.uniform(0.14, 0.24), random.uniform(0.0, 0.12)
    cells = _cells(display.text, width, spacing)
    margin = random.uniform(0.18, 0.4)
    total = cells[-1][1] + width
    size = (round((total + slant + 2 * margin) * height), round((1 + 2 * margin) * height))
    panel, off, lit = _colours(random, display.colour)
    image = Image.new("RGBA", size, (*panel, 255))
    draw = ImageDraw.Draw(image)
    if random.random() < 0.6:
        draw.rectangle(
            (0, 0, size[0] - 1, size[1] - 1),
            outline=jitter(random, (110, 110, 110), 60),
            width=random.randint(1, max(1, round(0.08 * height))),
        )
    sprite = Sprite(image, [Mark("panel", (0, 0, *size))])
    ghost = random.random() < 0.5
    last = len(cells) - 1
    for index, (character, x) in enumerate(cells):
        before = index < last and cells[index + 1][0] == "."
        x0, y0 = (margin + x) * height, margin * height
        if character == ".":
            box = _point_box(x0 / height, margin, thickness, height)
            draw.ellipse(box, fill=(*lit, 255))
            sprite.marks.append(Mark(".", box, follow=IS_POINT))
            continue
        for name, polygon in polygons.items():
            on = name in LIT[character]
            if on or (ghost and character != "-"):
                corners = [(x0 + (px + slant * (1 - py)) * height, y0 + py * height) for px, py in polygon]
                draw.polygon(corners, fill=(*(lit if on else off), 255))
        follow = BEFORE_POINT if before else LAST if index == last else PLAIN
        order = sum(c != "." for c, _ in cells[:index]) + 1
        box = (x0, y0, x0 + (width + slant) * height, y0 + height)
        sprite.marks.append(Mark(character, box, order, follow))
    return sprite


def widest(text: str) -> float:
    """An upper bound of the sprite's width, in heights of a digit."""
    return 0.6 * sum(c != "." for c in text) + 0.24 * len(text) + 0.12 + 0.8


def draw(canvas: Canvas) -> Display:
    display = choose_display(canvas.random)
    angle = small_angle(canvas.random)
    # 0.9: room for the rotation
    fit = min(0.9 * canvas.width / widest(display.text), 0.9 * canvas.height / 1.8) / canvas.unit
    height = canvas.random.uniform(min(MIN_HEIGHT, fit), max(MIN_HEIGHT, min(MAX_HEIGHT, fit)))
    canvas.place(display_sprite(canvas.random, display, height * canvas.unit), angle=angle)
    return display


def facts(display: Display) -> tuple[Fact, ...]:
    """Families and answers; the wording is chosen elsewhere."""
    return (
        Fact("display reading", "", display.text),
        Fact("digit colour", "", display.colour),
        Fact("description", "", f"A digital display with {display.colour} digits."),
    )


def _cells(text: str, width: float, spacing: float) -> list[tuple[str, float]]:
    """Characters and their left edges, in heights of a digit."""
    cells, x = [], 0.0
    for character in text:
        if character == ".":
            cells.append((character, x - spacing + 0.07))
            x += 0.18
        else:
            cells.append((character, x))
            x += width + spacing
    return cells


def _point_box(x: float, margin: float, thickness: float, height: float) -> tuple[float, float, float, float]:
    side = max(0.16, thickness)
    return (x * height, (margin + 1 - side) * height, (x + side) * height, (margin + 1) * height)


def _colours(random: Random, name: str) -> tuple[Colour, Colour, Colour]:
    """Panel, unlit segment, lit segment."""
    if name == "black":
        shade = random.randint(140, 205)
        panel = jitter(random, (shade - 10, shade + 5, shade - 20), 10)
    else:
        panel = jitter(random, (22, 22, 24), 14)
    lit = jitter(random, COLOURS[name], 14)
    share = random.uniform(0.02, 0.1)
    red, green, blue = (round(p + (c - p) * share) for p, c in zip(panel, lit, strict=True))
    return panel, (red, green, blue), lit
