"""What lies behind: photographs that the caller has, textures, and drawn walls. Knows no device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from edgevlm_demo.scenes.background import background
from edgevlm_demo.scenes.colours import Colour, jitter, shade

Size = tuple[int, int]
STORED = 480  # pixels: the longest side of a photograph in memory


def backdrop(random: Random, size: Size, photographs: Sequence[Path], share: float = 0.4) -> Image.Image:
    """A photograph in `share` of the cases if there are any, else a texture or a drawn wall."""
    if photographs and random.random() < share:
        return photograph(random, size, photographs)
    kind = random.random()
    if kind < 0.2:
        grey = random.choice((random.randint(0, 255), random.randint(200, 255)))
        return Image.new("RGB", size, jitter(random, (grey, grey, grey), random.choice((0, 12, 60))))
    return background(random, *size) if kind < 0.6 else texture(random, size)


def photograph(random: Random, size: Size, photographs: Sequence[Path]) -> Image.Image:
    """A part of one of them, perhaps mirrored."""
    whole = _stored(random.choice(photographs))
    scale = random.uniform(0.35, 1.0) * min(whole.width / size[0], whole.height / size[1])
    width, height = scale * size[0], scale * size[1]
    x, y = random.uniform(0, whole.width - width), random.uniform(0, whole.height - height)
    part = whole.resize(size, Image.Resampling.BILINEAR, box=(x, y, x + width, y + height), reducing_gap=2.0)
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else part


def texture(random: Random, size: Size) -> Image.Image:
    return random.choice(_TEXTURES)(random, size)


def cloud(random: Random, size: Size, cells: tuple[float, float], octaves: int = 3) -> Image.Image:
    """Grey noise in mode L; `cells`: how many of its coarsest spots lie across and down."""
    total: Image.Image | None = None
    for octave in range(octaves):
        across, down = (max(1, min(200, round(c * 2**octave))) for c in cells)
        x, y = random.randrange(_TABLE - across), random.randrange(_TABLE - down)
        layer = _noise().crop((x, y, x + across + 1, y + down + 1)).resize(size, Image.Resampling.BICUBIC)
        total = layer if total is None else Image.blend(total, layer, 0.5 / (1 + 0.5 * octave))
    assert total is not None
    return total


def _mixed(first: Colour, second: Colour, mask: Image.Image) -> Image.Image:
    return Image.composite(Image.new("RGB", mask.size, first), Image.new("RGB", mask.size, second), mask)


def _wood(random: Random, size: Size) -> Image.Image:
    base = jitter(random, random.choice(((150, 100, 55), (190, 150, 100), (95, 60, 35), (210, 180, 140))), 20)
    image = _mixed(base, shade(base, random.uniform(0.55, 0.8)), cloud(random, size, (2, 40), 2))
    draw = ImageDraw.Draw(image)
    for x in range(0, size[0], random.randint(40, 120)):
        draw.line((x, 0, x, size[1]), fill=shade(base, 0.45), width=2)
    return image if random.random() < 0.5 else image.transpose(Image.Transpose.ROTATE_90).resize(size)


def _bricks(random: Random, size: Size) -> Image.Image:
    brick = jitter(random, random.choice(((165, 80, 60), (140, 130, 120), (200, 190, 175), (110, 60, 50))), 20)
    image = Image.new("RGB", size, shade(brick, random.choice((0.6, 1.4))))
    draw = ImageDraw.Draw(image)
    height = random.randint(12, 40)
    width = round(height * random.uniform(1, 3))
    for row, y in enumerate(range(0, size[1], height)):
        for x in range(-(row % 2) * width // 2, size[0], width):
            draw.rectangle((x + 1, y + 1, x + width - 2, y + height - 2), fill=jitter(random, brick, 22))
    return Image.blend(image, cloud(random, size, (30, 30), 1).convert("RGB"), 0.12)


def _metal(random: Random, size: Size) -> Image.Image:
    base = jitter(random, random.choice(((150, 153, 158), (90, 95, 105), (60, 62, 66), (180, 175, 165))), 15)
    image = _mixed(base, shade(base, random.uniform(0.7, 0.9)), cloud(random, size, (1, 80), 2))
    draw = ImageDraw.Draw(image)
    if random.random() < 0.5:
        for _ in range(random.randint(2, 12)):
            x, y, r = random.randrange(size[0]), random.randrange(size[1]), random.randint(2, 7)
            draw.ellipse((x - r, y - r, x + r, y + r), fill=shade(base, 0.7), outline=shade(base, 0.5))
    return image


def _fabric(random: Random, size: Size) -> Image.Image:
    first = jitter(random, (random.randint(30, 220),) * 3, 70)
    image = Image.new("RGB", size, first)
    draw = ImageDraw.Draw(image)
    step, second = random.randint(4, 22), jitter(random, first, 60)
    for x in range(0, size[0], step):
        draw.line((x, 0, x, size[1]), fill=second, width=max(1, step // 3))
    if random.random() < 0.7:
        third = jitter(random, first, 60)
        for y in range(0, size[1], step):
            draw.line((0, y, size[0], y), fill=third, width=max(1, step // 3))
    return image


def _foliage(random: Random, size: Size) -> Image.Image:
    green = jitter(random, random.choice(((50, 90, 35), (90, 120, 50), (120, 100, 60), (40, 60, 40))), 25)
    image = _mixed(green, shade(green, 0.4), cloud(random, size, (8, 8), 4))
    draw = ImageDraw.Draw(image)
    for _ in range(random.randint(10, 60)):
        x, y, r = random.randrange(size[0]), random.randrange(size[1]), random.randint(3, 16)
        draw.ellipse((x, y, x + r, y + random.randint(2, r)), fill=jitter(random, green, 50))
    return image


def _sky(random: Random, size: Size) -> Image.Image:
    blue = jitter(random, random.choice(((90, 140, 210), (150, 180, 220), (230, 160, 110), (40, 50, 90))), 25)
    clouds = cloud(random, size, (3, 3), 3).point(lambda value: min(255, max(0, 3 * value - 300)))
    return _mixed(jitter(random, (235, 235, 240), 15), blue, clouds)


def _gradient(random: Random, size: Size) -> Image.Image:
    first, second = (jitter(random, (random.randint(0, 255),) * 3, 90) for _ in range(2))
    table = np.array([[random.random() for _ in range(3)] for _ in range(3)], dtype=np.float32)
    mask = Image.fromarray((255 * table).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return _mixed(first, second, mask)


def _static(random: Random, size: Size) -> Image.Image:
    cells = random.choice((1.0, 0.5, 0.25))
    layers = [cloud(random, size, (150 * cells, 150 * cells), 1) for _ in range(3)]
    if random.random() < 0.4:
        return layers[0].convert("RGB")
    return Image.merge("RGB", layers)


def _tiles(random: Random, size: Size) -> Image.Image:
    first, second = (jitter(random, (random.randint(20, 235),) * 3, 40) for _ in range(2))
    image = Image.new("RGB", size, first)
    draw = ImageDraw.Draw(image)
    step = random.randint(10, 60)
    checked = random.random() < 0.5
    for row, y in enumerate(range(0, size[1], step)):
        for column, x in enumerate(range(0, size[0], step)):
            if checked and (row + column) % 2:
                draw.rectangle((x, y, x + step, y + step), fill=second)
            elif not checked:
                draw.rectangle((x, y, x + step, y + step), outline=second)
    return image


def _concrete(random: Random, size: Size) -> Image.Image:
    grey = jitter(random, (random.randint(90, 200),) * 3, 12)
    return _mixed(grey, shade(grey, random.uniform(0.6, 0.85)), cloud(random, size, (5, 5), 5))


_TEXTURES: tuple[Callable[[Random, Size], Image.Image], ...] = (
    _wood,
    _bricks,
    _metal,
    _fabric,
    _foliage,
    _sky,
    _gradient,
    _static,
    _tiles,
    _concrete,
)
_TABLE = 512


@cache
def _noise() -> Image.Image:
    return Image.fromarray(np.random.RandomState(20261127).randint(0, 256, (_TABLE, _TABLE)).astype(np.uint8))


@lru_cache(1024)
def _stored(path: Path) -> Image.Image:
    with Image.open(path) as file:
        file.draft("RGB", (STORED, STORED))
        image = file.convert("RGB")
    scale = STORED / max(image.size)
    size = (max(1, math.ceil(image.width * scale)), max(1, math.ceil(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR) if scale < 1 else image
