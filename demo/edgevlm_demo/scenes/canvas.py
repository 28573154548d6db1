"""A picture under construction: background, upright sprites pasted with a small rotation, light and noise.

Knows no scene. All random numbers come from `random.Random` and one frozen numpy table, whose streams do
not change between versions.
"""

import math
from dataclasses import dataclass, field
from functools import cache
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from edgevlm_demo.scenes.scene import SIDE, Mark

Colour = tuple[int, int, int]
NOISE_SIDE = 448  # pixels; larger than the longest picture plus the largest shift


@dataclass
class Sprite:
    """An upright object: an RGBA picture and marks in its own pixels."""

    image: Image.Image
    marks: list[Mark] = field(default_factory=list)


class Canvas:
    """`unit` is the number of canvas pixels that become one pixel of the 168 x 168 picture."""

    def __init__(self, random: Random) -> None:
        self.random = random
        long_side = random.randrange(180, 361)
        short_side = round(long_side * random.uniform(0.72, 1.0))
        landscape = random.random() < 0.7
        self.width, self.height = (long_side, short_side) if landscape else (short_side, long_side)
        self.unit = long_side / SIDE
        self.image = _background(random, self.width, self.height)
        self.marks: list[Mark] = []

    def place(self, sprite: Sprite, *, angle: float = 0.0) -> None:
        """Paste at a random place, wholly inside; `angle` in degrees, counter-clockwise."""
        image = sprite.image.rotate(angle, Image.Resampling.BILINEAR, expand=True) if angle else sprite.image
        x = self.random.randint(0, max(0, self.width - image.width))
        y = self.random.randint(0, max(0, self.height - image.height))
        self.paste(sprite, image, x, y, angle)

    def paste(self, sprite: Sprite, image: Image.Image, x: int, y: int, angle: float) -> None:
        self.image.paste(image, (x, y), image)
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        half_x, half_y = sprite.image.width / 2, sprite.image.height / 2
        for mark in sprite.marks:
            x0, y0, x1, y1 = mark.box
            from_x, from_y = (x0 + x1) / 2 - half_x, (y0 + y1) / 2 - half_y
            centre_x = x + image.width / 2 + from_x * cosine + from_y * sine
            centre_y = y + image.height / 2 - from_x * sine + from_y * cosine
            across, down = (x1 - x0) / 2, (y1 - y0) / 2
            box = (centre_x - across, centre_y - down, centre_x + across, centre_y + down)
            self.marks.append(Mark(mark.kind, box, mark.order, mark.follow))

    def finish(self) -> Image.Image:
        """The picture under a random light, with noise."""
        random = self.random
        pixels = np.asarray(self.image, dtype=np.float32)
        gain, offset = random.uniform(0.75, 1.15), random.uniform(-14, 14)
        strength = random.uniform(0, 9)
        x, y = random.randrange(64), random.randrange(64)
        noise = _noise()[y : y + self.height, x : x + self.width]
        pixels = pixels * np.float32(gain) + noise * np.float32(strength)
        pixels += np.float32(offset)
        return Image.fromarray(np.clip(pixels, 0, 255, out=pixels).astype(np.uint8))


def jitter(random: Random, colour: Colour, amount: int = 18) -> Colour:
    """The colour moved by up to `amount` grey levels in each channel."""
    red, green, blue = (min(255, max(0, c + random.randint(-amount, amount))) for c in colour)
    return red, green, blue


def small_angle(random: Random, limit: float = 5.0) -> float:
    """Degrees; upright in half of the pictures."""
    return random.uniform(-limit, limit) if random.random() < 0.5 else 0.0


@cache
def _noise() -> NDArray[np.float32]:
    """`[448, 448, 3]`, zero mean, unit deviation."""
    table = np.random.RandomState(20261123).standard_normal((NOISE_SIDE, NOISE_SIDE, 3))
    return table.astype(np.float32)


@cache
def _ramp() -> Image.Image:
    return Image.linear_gradient("L")


def _background(random: Random, width: int, height: int) -> Image.Image:
    base = random.randint(40, 210)
    first = jitter(random, (base, base, base), 30)
    second = jitter(random, first, 45)
    ramp = _ramp()
    if random.random() < 0.5:
        ramp = ramp.transpose(Image.Transpose.ROTATE_90)
    ramp = ramp.resize((width, height), Image.Resampling.BILINEAR)
    image = Image.composite(Image.new("RGB", (width, height), first), Image.new("RGB", (width, height), second), ramp)
    draw = ImageDraw.Draw(image)
    for _ in range(random.randint(0, 5)):
        colour = jitter(random, first, 50)
        x, y = random.randint(-20, width), random.randint(-20, height)
        w, h = random.randint(8, width // 2), random.randint(8, height // 2)
        shape = random.randrange(3)
        if shape == 0:
            draw.rectangle((x, y, x + w, y + h), fill=colour)
        elif shape == 1:
            draw.ellipse((x, y, x + w, y + h), fill=colour)
        else:
            draw.line((x, y, x + w, y + random.randint(-h, h)), fill=colour, width=random.randint(1, 5))
    return image
