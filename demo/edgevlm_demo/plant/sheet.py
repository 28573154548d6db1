"""Practice sheets: lines of print in every font and size, for the tower's labels only."""

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

MOST_LINES = 14


def draw(shot: Shot) -> None:
    """Blocks of a few lines, or displays, from the top."""
    random = shot.random
    y, lines = 0.0, 0
    while lines < MOST_LINES and y < 0.92 * shot.height:
        x, tallest = 0.0, 0
        while x < 0.8 * shot.width and lines < MOST_LINES:
            height = shot.unit * random.choice((random.uniform(8, 14), random.uniform(8, 14), random.uniform(12, 30)))
            sprite = _display(random, height) if random.random() < 0.25 else _print(shot, height)
            lines += 1
            if x + sprite.image.width > shot.width or y + sprite.image.height > shot.height:
                break
            shot.place(sprite, (x, y, x + sprite.image.width + 4, y + sprite.image.height + 4), most_turn=5.0)
            x += sprite.image.width + 4 + random.uniform(0, 8)
            tallest = max(tallest, sprite.image.height)
        y += tallest + 4 + random.uniform(0, 6) if tallest else 0.12 * shot.height


def _display(random: Random, height: float) -> Sprite:
    display = Display(choose_number(random, 5), random.choice(list(COLOURS)))
    return display_sprite(random, display, max(9.0, height), random.choice(("plain", "varied", "varied")))


def _print(shot: Shot, height: float) -> Sprite:
    random = shot.random
    font = random.choice(shot.supplies.fonts)
    paper, ink = _colours(random)
    printed = []
    for _ in range(random.choice((1, 1, 2))):
        set_line = line(
            font, _text(random), height, spacing=random.choice((0.0, 0.0, 0.1)), width=random.uniform(0.85, 1.1)
        )
        printed.append(dotted(set_line) if random.random() < 0.08 and height > 14 else set_line)
    margin = random.uniform(0.25, 0.7) * height
    pitch = height * random.uniform(1.3, 1.8)
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
    return "".join(random.choice(characters) for _ in range(random.randint(2, 7)))


def _colours(random: Random) -> tuple[Colour, Colour]:
    """Paper and ink, light on dark or dark on light, not always far apart."""
    light, dark = (
        jitter(random, (random.randint(170, 250),) * 3, 30),
        jitter(random, (random.randint(5, 60),) * 3, 25),
    )
    ink, paper = (dark, light) if random.random() < 0.65 else (light, dark)
    return paper, mix(paper, ink, random.uniform(0.5, 1.0))
