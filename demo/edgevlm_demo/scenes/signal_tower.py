"""The signal tower: red, amber and green lamps stacked on a pole; none or one is lit."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from edgevlm_demo.scenes.canvas import Canvas, Region, Sprite, small_angle
from edgevlm_demo.scenes.colours import Colour, jitter
from edgevlm_demo.scenes.scene import LAMPS, Fact, Mark

LIT: dict[str, Colour] = {"red": (255, 50, 40), "amber": (255, 185, 30), "green": (60, 245, 90)}
DARK: dict[str, Colour] = {"red": (95, 22, 20), "amber": (100, 68, 14), "green": (18, 80, 34)}


@dataclass(frozen=True)
class Tower:
    stack: tuple[str, ...]  # from the top
    lit: str  # "none" or a lamp


def choose_tower(random: Random) -> Tower:
    stack = list(LAMPS)
    if random.random() < 0.25:
        random.shuffle(stack)
    return Tower(tuple(stack), random.choice(("none", *LAMPS)))


def tower_sprite(random: Random, tower: Tower, height: float) -> Sprite:
    """`height` of one lamp in canvas pixels."""
    width = height * random.uniform(0.9, 1.3)
    glow = round(0.35 * height)
    cap = 0.3 * height
    pole = height * random.uniform(0.4, 1.4)
    size = (round(width) + 2 * glow, round(glow + cap + len(tower.stack) * height + pole))
    image = Image.new("RGBA", size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    x0, x1 = float(glow), size[0] - 1.0 - glow
    middle = size[0] / 2
    metal = jitter(random, (130, 130, 135), 60)
    draw.rectangle((middle - 0.12 * width, glow + cap, middle + 0.12 * width, size[1]), fill=(*metal, 255))
    draw.rounded_rectangle((x0, glow, x1, glow + cap), radius=0.25 * height, fill=(*metal, 255))
    sprite = Sprite(image, [Mark("pole", (middle - 0.12 * width, glow, middle + 0.12 * width, size[1]))])
    for index, lamp in enumerate(tower.stack):
        y0 = glow + cap + index * height
        _lamp(random, draw, lamp, (x0, y0, x1, y0 + height), lit=lamp == tower.lit, glow=glow)
        state = "on" if lamp == tower.lit else "off"
        sprite.marks.append(Mark(f"{lamp} {state}", (x0, y0, x1, y0 + height)))
    return sprite


def _lamp(
    random: Random,
    draw: ImageDraw.ImageDraw,
    lamp: str,
    box: tuple[float, float, float, float],
    *,
    lit: bool,
    glow: int,
) -> None:
    x0, y0, x1, y1 = box
    colour = jitter(random, (LIT if lit else DARK)[lamp], 12)
    if lit:
        for step in (1.0, 0.6, 0.3):
            spread = glow * step
            draw.rounded_rectangle(
                (x0 - spread, y0 - 0.3 * spread, x1 + spread, y1 + 0.3 * spread),
                radius=spread,
                fill=(*colour, round(120 * (1.1 - step))),
            )
    draw.rectangle((x0, y0 + 1, x1, y1 - 1), fill=(*colour, 255))
    shine = [round(c + (255 - c) * (0.6 if lit else 0.15)) for c in colour]
    inset = 0.25 * (x1 - x0)
    if lit:
        fill = (shine[0], shine[1], shine[2], 255)
        draw.ellipse((x0 + inset, y0 + 0.25 * (y1 - y0), x1 - inset, y1 - 0.25 * (y1 - y0)), fill=fill)
    else:
        fill = (shine[0], shine[1], shine[2], 255)
        draw.rectangle((x0 + inset, y0 + 2, x0 + inset + 0.1 * (x1 - x0), y1 - 2), fill=fill)


def draw(canvas: Canvas, region: Region) -> Tower:
    tower = choose_tower(canvas.random)
    _, height = canvas.size(region)
    # a tower is at most 5.1 lamps tall
    size = canvas.random.uniform(14.0, min(30.0, 0.95 * height / 5.1))
    sprite = tower_sprite(canvas.random, tower, size * canvas.unit)
    canvas.place(sprite, region, angle=small_angle(canvas.random))
    return tower


def facts(tower: Tower, random: Random) -> tuple[Fact, ...]:
    """Families and answers; two in three questions about a lit tower name the lit lamp, so that yes = no."""
    dark = [lamp for lamp in tower.stack if lamp != tower.lit]
    ask_lit = tower.lit != "none" and random.random() < 2 / 3
    lamp = tower.lit if ask_lit else random.choice(dark)
    return (
        Fact("lit lamp", "", tower.lit),
        Fact("lamp state", lamp, "yes" if lamp == tower.lit else "no"),
    )


def phrase(tower: Tower) -> str:
    shown = "no lamp" if tower.lit == "none" else f"the {tower.lit} lamp"
    return f"a signal tower with {shown} on"
