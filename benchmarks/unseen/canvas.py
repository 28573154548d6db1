"""Paint: surfaces, text and what a camera does to a picture. Knows no devices.

Everything is drawn larger than it is shown (`SCALE`) and made smaller at the end, so that lines are smooth.
"""

from __future__ import annotations

import io
from math import cos, radians, sin
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from benchmarks.unseen.fonts import font

SCALE = 2
Colour = tuple[int, int, int]
Point = tuple[float, float]

WALLS: tuple[Colour, ...] = (
    *((205, 205, 198), (168, 174, 178), (92, 100, 106), (60, 64, 70), (196, 186, 164)),
    *((120, 140, 150), (225, 226, 222), (148, 158, 140), (40, 44, 50), (176, 150, 120)),
)


def blank(width: int, height: int, colour: Colour) -> Image.Image:
    """A surface to draw on, `SCALE` times as large as named."""
    return Image.new("RGB", (width * SCALE, height * SCALE), colour)


def finished(picture: Image.Image) -> Image.Image:
    """In the size that it was named with."""
    return picture.resize((picture.width // SCALE, picture.height // SCALE), Image.Resampling.LANCZOS)


def wall(random: Random, width: int, height: int) -> Image.Image:
    """A painted wall: one colour, lit from a side."""
    picture = blank(width, height, random.choice(WALLS))
    return lit(picture, random, 0.25)


def lit(picture: Image.Image, random: Random, strength: float) -> Image.Image:
    """Brighter on one side than on the other by up to `strength`."""
    pixels = np.asarray(picture, np.float32)
    y, x = np.mgrid[-1 : 1 : pixels.shape[0] * 1j, -1 : 1 : pixels.shape[1] * 1j]
    angle = random.uniform(0, 360)
    slope = 1 + random.uniform(0, strength / 2) * (x * cos(radians(angle)) + y * sin(radians(angle)))
    return Image.fromarray(np.clip(pixels * slope[..., None], 0, 255).astype(np.uint8))


def around(centre: Point, radius: float, degrees: float) -> Point:
    """A point on a circle, clockwise from the right as the screen has it."""
    return centre[0] + radius * cos(radians(degrees)), centre[1] + radius * sin(radians(degrees))


def box(centre: Point, radius: float) -> tuple[float, float, float, float]:
    """Around a circle."""
    return centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius


def write(draw: ImageDraw.ImageDraw, at: Point, text: str, file: str, size: float, fill: Colour) -> None:
    """Centred on a point; `size` is that of the surface."""
    draw.text(at, text, fill, font(file, max(int(size), 4)), anchor="mm")


def text_mask(text: str, file: str, size: int, spacing: int = 0) -> Image.Image:
    """Letters in white on black, cut close, with `spacing` more pixels between them."""
    face = font(file, size)
    advance = [face.getlength(letter) + spacing for letter in text]
    mask = Image.new("L", (int(sum(advance)) + 2 * size, 3 * size))
    draw, x = ImageDraw.Draw(mask), float(size)
    for letter, step in zip(text, advance, strict=True):
        draw.text((x, size), letter, 255, face)
        x += step
    return mask.crop(mask.getbbox())


def photographed(picture: Image.Image, random: Random, strength: float = 1.0) -> Image.Image:
    """As a phone's camera has it: askew, softened, unevenly lit, noisy, and saved as JPEG."""
    tilted = lit(askew(picture, random, 0.07 * strength), random, 0.6 * strength)
    soft = tilted.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.1) * strength))
    rng = np.random.default_rng(random.getrandbits(32))
    pixels = np.asarray(soft, np.float32) * random.uniform(0.75, 1.1)
    noise = rng.normal(0, random.uniform(2, 9) * strength, pixels.shape)
    return jpeg(Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)), random.randint(50, 90))


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    """Saved and opened again."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def askew(picture: Image.Image, random: Random, share: float) -> Image.Image:
    """Seen from aside: each corner is moved outwards by up to this share of the side, so that nothing is cut off."""
    width, height = picture.size
    wide = Image.new("RGB", (int(width * (1 + 2 * share)), int(height * (1 + 2 * share))), picture.getpixel((1, 1)))
    wide.paste(picture, (int(width * share), int(height * share)))
    dx, dy = width * share, height * share
    corners = [
        (random.uniform(0, dx), random.uniform(0, dy)),
        (random.uniform(0, dx), wide.height - random.uniform(0, dy)),
        (wide.width - random.uniform(0, dx), wide.height - random.uniform(0, dy)),
        (wide.width - random.uniform(0, dx), random.uniform(0, dy)),
    ]
    flat = [value for corner in corners for value in corner]
    return wide.transform(picture.size, Image.Transform.QUAD, flat, Image.Resampling.BICUBIC)


def mottled(rng: np.random.Generator, width: int, height: int, coarse: int) -> NDArray[np.float32]:
    """Smooth random values from 0 to 1, `[height, width]`; `coarse` is how many spots lie side by side."""
    small = Image.fromarray((rng.random((coarse, coarse)) * 255).astype(np.uint8))
    large = small.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(large, np.float32) / np.float32(255)
