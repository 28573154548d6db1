"""Practice sheets: as much print of every font and size as fits, for the tower's labels only."""

from __future__ import annotations

import string
from random import Random

from PIL import Image, ImageDraw

from edgevlm_demo.plant.lettering import dotted, line, write
from edgevlm_demo.plant.nameplate import LETTERS, choose_code
from edgevlm_demo.plant.readout import choose_number
from edgevlm_demo.plant.shot import Shot
from edgevlm_demo.scenes.canvas import Sprite, opaque
from edgevlm_demo.scenes.colours import Colour, jitter, mix
from edgevlm_demo.scenes.display import COLOURS, Display, display_sprite
from edgevlm_demo.scenes.scene import Mark

SIZES = ((8.0, 11.0), (9.0, 16.0), (14.0, 30.0))  # of a character, in pixels at 168 x 168
LEAST_HEIGHT = 7.5
GAP = 3.0


def draw(shot: Shot) -> None:
    """Blocks of lines, or displays, in columns from the top."""
    random = shot.random
    x = random.uniform(0, 4)
    while x < 0.85 * shot.width:
        y, widest, misfits = random.uniform(0, 4), 0.0, 0
        while misfits < 2:
            sprite, height, ink, paper = _block(shot, shot.width - x)
            width, tall = sprite.image.size
            if y + tall > shot.height or x + width > shot.width:
                misfits += 1
                continue
            room = (x, y, x + width + GAP, y + tall + GAP)
            shot.place_print(sprite, room, height, LEAST_HEIGHT, ink, paper, most_turn=4.0)
            y += tall + GAP
            widest = max(widest, width)
        x += widest + GAP if widest else 0.2 * shot.width


def _block(shot: Shot, room: float) -> tuple[Sprite, float, Colour, Colour]:
    """A piece of paper or a display, how tall its characters are, and its two colours."""
    random = shot.random
    height = shot.unit * random.uniform(*random.choice(SIZES))
    if random.random() < 0.2:
        colour = random.choice(list(COLOURS))
        display = Display(choose_number(random, 5), colour)
        paper = (170, 180, 160) if colour == "black" else (24, 24, 26)
        sprite = display_sprite(random, display, max(9.0, height), random.choice(("plain", "varied", "varied")))
        return sprite, max(9.0, height), COLOURS[colour], paper
    paper, ink = _colours(random)
    return _print(shot, height, room, paper, ink), height, ink, paper


def _print(shot: Shot, height: float, room: float, paper: Colour, ink: Colour) -> Sprite:
    random = shot.random
    font = random.choice(shot.supplies.fonts)
    spacing, width = random.choice((0.0, 0.0, 0.1)), random.uniform(0.85, 1.1)
    dots = random.random() < 0.08 and height > 14
    margin, pitch = random.uniform(0.25, 0.5) * height, height * random.uniform(1.3, 1.8)
    most = max(2, int((room - 2 * margin) / (0.75 * height)))
    printed = []
    for _ in range(random.randint(1, 5)):
        set_line = line(font, _text(random)[:most], height, spacing=spacing, width=width)
        printed.append(dotted(set_line) if dots else set_line)
    size = (round(max(p.mask.width for p in printed) + 2 * margin), round(len(printed) * pitch + 2 * margin))
    sprite = Sprite(Image.new("RGBA", size, opaque(paper)), [Mark("paper", (0, 0, *size))])
    if random.random() < 0.3:
        ImageDraw.Draw(sprite.image).rectangle((0, 0, size[0] - 1, size[1] - 1), outline=opaque(ink))
    for row, set_line in enumerate(printed):
        write(sprite, set_line, (margin, margin + row * pitch), ink)
    return sprite


def _text(random: Random) -> str:
    kind = random.random()
    if kind < 0.35:
        return choose_number(random, 6)
    if kind < 0.75:
        return choose_code(random, 8)
    characters = string.digits if kind < 0.85 else LETTERS
    return "".join(random.choice(characters) for _ in range(random.randint(4, 8)))


def _colours(random: Random) -> tuple[Colour, Colour]:
    """Paper and ink, light on dark or dark on light, not always far apart."""
    light = jitter(random, (random.randint(170, 250),) * 3, 30)
    dark = jitter(random, (random.randint(5, 60),) * 3, 25)
    ink, paper = (dark, light) if random.random() < 0.65 else (light, dark)
    return paper, mix(paper, ink, random.uniform(0.5, 1.0))
