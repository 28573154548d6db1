"""A photograph under construction: backdrop, upright sprites seen at an angle, then light and camera.

Knows no device. It decides what can be told at 168 x 168 pixels: how much the camera blurs and how loud its noise
is are chosen first, so whoever places print can ask whether it is legible.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from edgevlm_demo.plant.backdrop import cloud
from edgevlm_demo.scenes.canvas import Sprite, through_jpeg
from edgevlm_demo.scenes.colours import Colour
from edgevlm_demo.scenes.scene import SIDE, Mark

Region = tuple[float, float, float, float]
Point = tuple[float, float]
NOISE_SIDE = 512
UPRIGHT = 0.4  # share of objects that are seen straight


@dataclass(frozen=True)
class Camera:
    """`blur` and `motion` in pixels at 168 x 168, `noise` in grey levels of the canvas."""

    blur: float
    motion: float
    noise: float
    gain: float
    fade: float  # share of the contrast that haze and glare take
    quality: int | None  # of the JPEG


@dataclass(frozen=True)
class Supplies:
    """What the generator draws with: font files, and photographs to stand behind things."""

    fonts: tuple[Path, ...]
    photographs: tuple[Path, ...] = ()


class Shot:
    """`unit` is the number of canvas pixels that become one pixel of the 168 x 168 picture."""

    def __init__(self, random: Random, supplies: Supplies) -> None:
        self.random, self.supplies = random, supplies
        long_side = random.randrange(210, 401)
        short_side = round(long_side * random.choice((0.5625, 0.667, 0.75, 0.75, 1.0, random.uniform(0.6, 1.0))))
        landscape = random.random() < 0.75
        self.width, self.height = (long_side, short_side) if landscape else (short_side, long_side)
        self.unit = long_side / SIDE
        self.camera = _choose_camera(random)
        self.marks: list[Mark] = []
        self.image = Image.new("RGB", (1, 1))

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height

    @property
    def whole(self) -> Region:
        return 0, 0, self.width, self.height

    def legible(self, height: float, least: float, ink: Colour, paper: Colour) -> bool:
        """Whether strokes of print `height` canvas pixels tall can be told; `least` pixels at 168 x 168."""
        tall = height / self.unit
        camera = self.camera
        contrast = abs(luminance(ink) - luminance(paper)) * min(1.0, camera.gain) * (1 - camera.fade)
        sharp = camera.blur <= 0.15 * tall and camera.motion <= 0.22 * tall
        return tall >= least and sharp and contrast >= max(30.0, 3.5 * camera.noise / self.unit)

    def place(self, sprite: Sprite, region: Region, *, most_turn: float = 12.0) -> float:
        """Paste it at a random place of the region, seen at an angle; returns how much smaller it became."""
        corners = self._seen(sprite.image.size, region, most_turn)
        x0, y0 = math.floor(min(x for x, _ in corners)), math.floor(min(y for _, y in corners))
        x1, y1 = math.ceil(max(x for x, _ in corners)), math.ceil(max(y for _, y in corners))
        width, height = sprite.image.size
        flat = ((0.0, 0.0), (float(width), 0.0), (float(width), float(height)), (0.0, float(height)))
        inside = [(x - x0, y - y0) for x, y in corners]
        if _is_upright(corners, sprite.image.size):
            self.image.paste(sprite.image, (round(corners[0][0]), round(corners[0][1])), sprite.image)
        else:
            back = _homography(inside, flat)
            seen = sprite.image.transform(
                (max(1, x1 - x0), max(1, y1 - y0)),
                Image.Transform.PERSPECTIVE,
                tuple(back),
                Image.Resampling.BILINEAR,
            )
            self.image.paste(seen, (x0, y0), seen)
        self._carry_marks(sprite.marks, _homography(flat, corners))
        return math.sqrt(_area(corners) / (width * height))

    def place_print(
        self,
        sprite: Sprite,
        region: Region,
        height: float,
        least: float,
        ink: Colour,
        paper: Colour,
        *,
        most_turn: float = 12.0,
    ) -> bool:
        """Place a sprite whose print is `height` of its pixels tall; whether it can be told, else it is forgotten."""
        first = len(self.marks)
        shrunk = self.place(sprite, region, most_turn=most_turn)
        legible = self.legible(height * shrunk, least, ink, paper)
        if not legible:
            self.forget_print(first)
        return legible

    def forget_print(self, first: int) -> None:
        """Drop the characters among the marks from `first` on: nobody could tell them."""
        self.marks[first:] = [mark for mark in self.marks[first:] if len(mark.kind) > 1]

    def finish(self) -> Image.Image:
        """Under a random light, through the camera."""
        random, camera = self.random, self.camera
        image = self.image
        if camera.blur:
            image = image.filter(ImageFilter.GaussianBlur(camera.blur * self.unit))
        if camera.motion:
            image = _moved(random, image, camera.motion * self.unit)
        pixels = np.asarray(image, dtype=np.float32) * self._light()
        if camera.fade:
            pixels += (255 - pixels) * self._glare()
        x, y = random.randrange(NOISE_SIDE - self.width), random.randrange(NOISE_SIDE - self.height)
        pixels += _noise()[y : y + self.height, x : x + self.width] * np.float32(camera.noise)
        if random.random() < 0.06:
            pixels[:] = pixels.mean(axis=2, keepdims=True)
        image = Image.fromarray(np.clip(pixels, 0, 255, out=pixels).astype(np.uint8))
        return image if camera.quality is None else through_jpeg(image, camera.quality)

    def _seen(self, size: tuple[int, int], region: Region, most_turn: float) -> list[Point]:
        """Where the sprite's corners come to lie, clockwise from the upper left one."""
        random = self.random
        width, height = size
        corners = [
            (-width / 2, -height / 2),
            (width / 2, -height / 2),
            (width / 2, height / 2),
            (-width / 2, height / 2),
        ]
        if random.random() >= UPRIGHT:
            turn = math.radians(random.choice((0.4, 1.0)) * random.uniform(-most_turn, most_turn))
            depth = random.choice((0.0, 0.06, 0.12))
            squeeze = (1.0, random.uniform(0.85, 1.0)) if random.random() < 0.5 else (random.uniform(0.85, 1.0), 1.0)
            corners = [
                (x * squeeze[0] * (1 - random.uniform(0, depth)), y * squeeze[1] * (1 - random.uniform(0, depth)))
                for x, y in corners
            ]
            cosine, sine = math.cos(turn), math.sin(turn)
            corners = [(x * cosine - y * sine, x * sine + y * cosine) for x, y in corners]
        left, right = min(x for x, _ in corners), max(x for x, _ in corners)
        top, bottom = min(y for _, y in corners), max(y for _, y in corners)
        x0, y0, x1, y1 = region
        fit = min(1.0, (x1 - x0) / (right - left), (y1 - y0) / (bottom - top))
        x = x0 - left * fit + random.random() * max(0.0, x1 - x0 - fit * (right - left))
        y = y0 - top * fit + random.random() * max(0.0, y1 - y0 - fit * (bottom - top))
        if fit == 1.0:
            x, y = round(x + left) - left, round(y + top) - top
        return [(x + fit * cx, y + fit * cy) for cx, cy in corners]

    def _carry_marks(self, marks: Sequence[Mark], forward: list[float]) -> None:
        a, b, c, d, e, f, g, h = forward
        for mark in marks:
            x0, y0, x1, y1 = mark.box
            x, y = (x0 + x1) / 2, (y0 + y1) / 2
            w = g * x + h * y + 1
            across, down = (x1 - x0) / 2 * math.hypot(a, d) / w, (y1 - y0) / 2 * math.hypot(b, e) / w
            x, y = (a * x + b * y + c) / w, (d * x + e * y + f) / w
            self.marks.append(Mark(mark.kind, (x - across, y - down, x + across, y + down), mark.order, mark.follow))

    def _light(self) -> NDArray[np.float32]:
        """`[H or 1, W or 1, 3]`: gain, colour of the light, slopes and shadows."""
        random = self.random
        tint = np.array([random.uniform(0.88, 1.1) * self.camera.gain for _ in range(3)], dtype=np.float32)
        kind = random.random()
        if kind < 0.4:
            return tint[None, None]
        if kind < 0.75:
            across, down = random.uniform(-0.3, 0.3), random.uniform(-0.3, 0.3)
            columns = np.linspace(1 - across, 1 + across, self.width, dtype=np.float32)
            rows = np.linspace(-down, down, self.height, dtype=np.float32)
            return ((columns[None] + rows[:, None])[:, :, None] * tint).astype(np.float32)
        soft: NDArray[np.float32] = np.asarray(cloud(random, self.size, (2, 2), 1), dtype=np.float32)
        if random.random() < 0.5:  # a shadow with an edge
            soft = np.clip((soft - 110) * 6, 0, 255).astype(np.float32)
        dark = random.uniform(0.45, 0.9)
        return ((dark + (1 - dark) / 255 * soft)[:, :, None] * tint).astype(np.float32)

    def _glare(self) -> NDArray[np.float32]:
        """`[H, W, 1]`: how white haze or a reflection makes a place."""
        random = self.random
        if random.random() < 0.5:
            return np.full((1, 1, 1), self.camera.fade, dtype=np.float32)
        spot = np.asarray(cloud(random, self.size, (2, 2), 1), dtype=np.float32)[:, :, None]
        shine = np.clip((spot - 128) / 127, 0, 1) * np.float32(1.3 * self.camera.fade)
        return shine.astype(np.float32)


def luminance(colour: Colour) -> float:
    return 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]


def _choose_camera(random: Random) -> Camera:
    poor = random.random() < 0.1
    return Camera(
        blur=(random.uniform(0.2, 1.0) if random.random() < 0.4 else 0.0) + (random.uniform(0, 1.6) if poor else 0),
        motion=random.uniform(0.5, 2.5 if poor else 1.5) if random.random() < 0.12 else 0.0,
        noise=random.choice((0.0, 0.0, 1.0, 1.0, 1.5)) * random.uniform(0, 12)
        + (random.uniform(0, 25) if poor else 0),
        gain=random.uniform(0.3, 0.7) if random.random() < 0.1 else random.uniform(0.7, 1.15),
        fade=random.uniform(0.05, 0.7 if poor else 0.4) if random.random() < 0.25 else 0.0,
        quality=random.randint(30, 95) if random.random() < 0.5 else None,
    )


def _moved(random: Random, image: Image.Image, length: float) -> Image.Image:
    side = 5 if length < 4 else 3
    if side == 3:
        image = image.filter(ImageFilter.BoxBlur(length / 6))
    kernel = [0.0] * (side * side)
    lines = (
        [(i, side // 2) for i in range(side)],
        [(side // 2, i) for i in range(side)],
        [(i, i) for i in range(side)],
    )
    for x, y in random.choice(lines):
        kernel[y * side + x] = 1.0
    return image.filter(ImageFilter.Kernel((side, side), kernel, sum(kernel)))


def _is_upright(corners: Sequence[Point], size: tuple[int, int]) -> bool:
    (x0, y0), (x1, y1), (x2, y2), _ = corners
    return y0 == y1 and x1 == x2 and abs(x1 - x0 - size[0]) < 1e-6 and abs(y2 - y1 - size[1]) < 1e-6


def _homography(source: Sequence[Point], target: Sequence[Point]) -> list[float]:
    """Eight coefficients that take source to target."""
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
        values += [u, v]
    solved: list[float] = np.linalg.solve(np.array(rows, dtype=np.float64), np.array(values)).tolist()
    return solved


def _area(corners: Sequence[Point]) -> float:
    total = 0.0
    for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], corners[0]), strict=True):
        total += x0 * y1 - x1 * y0
    return abs(total) / 2


@cache
def _noise() -> NDArray[np.float32]:
    table = np.random.RandomState(20261128).standard_normal((NOISE_SIDE, NOISE_SIDE, 3))
    return table.astype(np.float32)
