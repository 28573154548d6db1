"""Signal lamps of other builds than the tower of the scenes: rows and columns of round or square lamps."""

from __future__ import annotations

from random import Random

from PIL import Image, ImageDraw

from edgevlm_demo.plant.shot import Region, Shot
from edgevlm_demo.scenes.canvas import Sprite, opaque
from edgevlm_demo.scenes.colours import Colour, jitter, mix
from edgevlm_demo.scenes.scene import Mark
from edgevlm_demo.scenes.signal_tower import Tower, choose_tower, tower_sprite

LIT: dict[str, Colour] = {"red": (255, 60, 45), "amber": (255, 180, 40), "green": (70, 240, 100)}
DARK: dict[str, Colour] = {"red": (105, 30, 28), "amber": (110, 78, 22), "green": (24, 88, 44)}
LEAST_LAMP = 6.0  # pixels at 168 x 168


def draw(shot: Shot, region: Region) -> tuple[Tower, bool]:
    """The lamps, and whether they can be told."""
    random = shot.random
    tower = choose_tower(random)
    room = min(region[3] - region[1], 1.4 * (region[2] - region[0]))
    share = random.uniform(0.3, 0.95)
    if random.random() < 0.4:
        lamp = share * room / 5.1
        sprite = tower_sprite(random, tower, max(3.0, lamp))
    else:
        lamp = share * room / 3.6
        sprite = _column(random, tower, max(3.0, lamp))
    shrunk = shot.place(sprite, region, most_turn=8.0)
    camera = shot.camera
    clear = camera.gain * (1 - camera.fade) > 0.45 and camera.noise < 28
    return tower, clear and lamp * shrunk / shot.unit >= LEAST_LAMP


def _column(random: Random, tower: Tower, lamp: float) -> Sprite:
    across = random.random() < 0.3
    shape = random.choice(("round", "square", "cylinder"))
    pitch = lamp * (1.0 if shape == "cylinder" else random.uniform(1.05, 1.3))
    glow = round(0.3 * lamp)
    length, wide = round(2 * pitch + lamp) + 2 * glow, round(lamp * random.uniform(1.0, 1.2)) + 2 * glow
    size = (length, wide) if across else (wide, length)
    housing = jitter(random, random.choice(((35, 36, 40), (60, 62, 66), (190, 190, 188), (200, 180, 60))), 15)
    boxed = shape != "cylinder"
    image = Image.new("RGBA", size, (*housing, 255 if boxed else 0))
    draw = ImageDraw.Draw(image)
    if not boxed:
        inset = glow + 0.06 * lamp
        draw.rectangle((inset, inset, size[0] - inset, size[1] - inset), fill=opaque(housing))
    sprite = Sprite(image)
    pale = random.random() < 0.3  # unlit lamps of clear plastic are not dark
    for index, name in enumerate(tower.stack):
        centre = (
            (glow + lamp / 2 + index * pitch, size[1] / 2)
            if across
            else (size[0] / 2, glow + lamp / 2 + index * pitch)
        )
        lit = name == tower.lit
        _lamp(random, draw, name, centre, lamp, shape, lit=lit, pale=pale, glow=glow)
        half = lamp / 2
        box = (centre[0] - half, centre[1] - half, centre[0] + half, centre[1] + half)
        sprite.marks.append(Mark(f"{name} {'on' if lit else 'off'}", box))
    return sprite


def _lamp(
    random: Random,
    draw: ImageDraw.ImageDraw,
    name: str,
    centre: tuple[float, float],
    lamp: float,
    shape: str,
    *,
    lit: bool,
    pale: bool,
    glow: int,
) -> None:
    colour = jitter(random, LIT[name] if lit else DARK[name], 15)
    if pale and not lit:
        colour = mix(colour, LIT[name], 0.3)
    x, y = centre

    def form(reach: float, fill: tuple[int, int, int, int]) -> None:
        box = (x - reach, y - reach, x + reach, y + reach)
        (draw.ellipse if shape == "round" else draw.rectangle)(box, fill=fill)

    if lit:
        for step, strength in ((1.0, 0.25), (0.5, 0.5)):
            form(lamp / 2 + step * glow, (*colour, round(255 * strength)))
    form(lamp / 2, opaque(colour))
    if lit:
        form(0.28 * lamp, opaque(mix(colour, (255, 255, 255), random.uniform(0.5, 0.9))))
    elif random.random() < 0.6:
        spot = 0.1 * lamp
        draw.ellipse(
            (x - 2.5 * spot, y - 2.5 * spot, x - spot, y - spot), fill=opaque(mix(colour, (255, 255, 255), 0.3))
        )
