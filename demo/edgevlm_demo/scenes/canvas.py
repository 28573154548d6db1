"""A picture under construction: background, upright sprites pasted with a small rotation, light and camera.

Knows no scene. All random numbers come from `random.Random` and one frozen numpy table, whose streams do
not change between versions.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field
from functools import cache
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from edgevlm_demo.scenes.background import background
from edgevlm_demo.scenes.colours import Colour
from edgevlm_demo.scenes.scene import SIDE, Mark, Style

NOISE_SIDE = 448  # pixels; larger than the longest picture plus the largest shift

Region = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels of the canvas


@dataclass
class Sprite:
    """An upright object: an RGBA picture and marks in its own pixels."""

    image: Image.Image
    marks: list[Mark] = field(default_factory=list)


class Canvas:
    """`unit` is the number of canvas pixels that become one pixel of the 168 x 168 picture.

    `style`: which fonts and shapes of digits to draw with.
    """

    def __init__(self, random: Random, style: Style = "plain") -> None:
        self.random = random
        self.style = style
        long_side = random.randrange(180, 361)
        short_side = round(long_side * random.uniform(0.72, 1.0))
        landscape = random.random() < 0.7
        self.width, self.height = (long_side, short_side) if landscape else (short_side, long_side)
        self.unit = long_side / SIDE
        self.image = background(random, self.width, self.height)
        self.marks: list[Mark] = []

    @property
    def whole(self) -> Region:
        return 0, 0, self.width, self.height

    def size(self, region: Region) -> tuple[float, float]:
        """Width and height in pixels at 168 x 168."""
        return (region[2] - region[0]) / self.unit, (region[3] - region[1]) / self.unit

    def place(self, sprite: Sprite, region: Region, *, angle: float = 0.0) -> None:
        """Paste at a random place in the region; `angle` in degrees, counter-clockwise."""
        image = sprite.image.rotate(angle, Image.Resampling.BILINEAR, expand=True) if angle else sprite.image
        x0, y0, x1, y1 = region
        x = self.random.randint(x0, max(x0, x1 - image.width))
        y = self.random.randint(y0, max(y0, y1 - image.height))
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
        """The picture under a random light, through a camera: blur, noise, JPEG."""
        random = self.random
        image = self.image
        if random.random() < 0.25:
            image = image.filter(ImageFilter.BoxBlur(random.uniform(0.2, 0.75) * self.unit))
        pixels = np.asarray(image, dtype=np.float32)
        pixels = pixels * self._light()
        x, y = random.randrange(64), random.randrange(64)
        noise = _noise()[y : y + self.height, x : x + self.width]
        pixels += noise * np.float32(random.uniform(0, 9))
        pixels += np.float32(random.uniform(-14, 14))
        image = Image.fromarray(np.clip(pixels, 0, 255, out=pixels).astype(np.uint8))
        return through_jpeg(image, random.randint(45, 95)) if random.random() < 0.25 else image

    def _light(self) -> NDArray[np.float32]:
        """`[H, W or 1, 1]`: a gain, on two pictures in five with a slope."""
        gain = self.random.uniform(0.75, 1.15)
        if self.random.random() < 0.6:
            return np.full((self.height, 1, 1), gain, dtype=np.float32)
        across, down = self.random.uniform(-0.25, 0.25), self.random.uniform(-0.25, 0.25)
        columns = np.linspace(-across, across, self.width, dtype=np.float32)
        rows = np.linspace(-down, down, self.height, dtype=np.float32)
        light: NDArray[np.float32] = 1 + columns[None, :, None] + rows[:, None, None]
        light *= np.float32(gain)
        return light


def small_angle(random: Random, limit: float = 6.0) -> float:
    """Degrees; upright in half of the pictures."""
    return random.uniform(-limit, limit) if random.random() < 0.5 else 0.0


def opaque(colour: Colour) -> tuple[int, int, int, int]:
    return (*colour, 255)


@cache
def _noise() -> NDArray[np.float32]:
    """`[448, 448, 3]`, zero mean, unit deviation."""
    table = np.random.RandomState(20261123).standard_normal((NOISE_SIDE, NOISE_SIDE, 3))
    return table.astype(np.float32)


def through_jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")
