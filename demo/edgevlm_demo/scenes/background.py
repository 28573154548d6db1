"""What lies behind the devices: a wall with a gradient and clutter that means nothing."""

from __future__ import annotations

from functools import cache
from random import Random

from PIL import Image, ImageDraw

from edgevlm_demo.scenes.colours import Colour, jitter

_TINTED = 0.3  # share of coloured walls


def background(random: Random, width: int, height: int) -> Image.Image:
    base = random.randint(40, 210)
    spread = 80 if random.random() < _TINTED else 30
    first = jitter(random, (base, base, base), spread)
    second = jitter(random, first, 45)
    ramp = _ramp()
    if random.random() < 0.5:
        ramp = ramp.transpose(Image.Transpose.ROTATE_90)
    ramp = ramp.resize((width, height), Image.Resampling.BILINEAR)
    image = Image.composite(Image.new("RGB", (width, height), first), Image.new("RGB", (width, height), second), ramp)
    draw = ImageDraw.Draw(image)
    for _ in range(random.randint(0, 6)):
        _clutter(random, draw, jitter(random, first, 55), width, height)
    return image


def _clutter(random: Random, draw: ImageDraw.ImageDraw, colour: Colour, width: int, height: int) -> None:
    x, y = random.randint(-20, width), random.randint(-20, height)
    w, h = random.randint(8, width // 2), random.randint(8, height // 2)
    line = random.randint(1, 5)
    shape = random.randrange(6)
    if shape == 0:
        draw.rectangle((x, y, x + w, y + h), fill=colour)
    elif shape == 1:
        draw.ellipse((x, y, x + w, y + h), fill=colour)
    elif shape == 2:
        draw.line((x, y, x + w, y + random.randint(-h, h)), fill=colour, width=line)
    elif shape == 3:
        draw.rectangle((x, y, x + w, y + h), outline=colour, width=line)
    elif shape == 4:
        draw.arc((x, y, x + w, y + h), random.randint(0, 180), random.randint(181, 360), fill=colour, width=line)
    else:
        for step in range(0, w, 3 * line + 4):
            draw.line((x + step, y, x + step + h // 3, y + h), fill=colour, width=line)


@cache
def _ramp() -> Image.Image:
    return Image.linear_gradient("L")
