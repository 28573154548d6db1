"""Pictures without any device: photographs that come inside two libraries, and textures. All are to be refused."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from benchmarks.unseen.canvas import mottled
from benchmarks.unseen.question import Question, Truth
from edgevlm.errors import CommandError

IN_SKIMAGE = (
    *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png"),
    *("gravel.png", "horse.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png"),
    *("motorcycle_right.png", "retina.jpg", "rocket.jpg"),
)
IN_SKLEARN = ("china.jpg", "flower.jpg")

EVERY_FAMILY = (
    *("What does the display read?", "What colour are the digits?", "What does the gauge read?", "Which lamp is on?"),
    *("Is the red lamp on?", "What is the serial number?", "What is the lot number on the label?"),
    *("How many bolts are missing?", "Which defect does the plate have?", "Where is the defect on the plate?"),
)
SEE = "What can you see?"


def photographs(random: Random, family: str) -> Iterator[Question]:
    """Endless: a part of a photograph, asked in every family in turn, and what can be seen every third time."""
    files = sorted(_files())
    random.shuffle(files)
    for file, text in zip(cycle(files), _texts(random), strict=False):
        with Image.open(file) as picture:
            yield Question(family, _part(picture.convert("RGB"), random), text, Truth())


def textures(random: Random, family: str) -> Iterator[Question]:
    """Endless: noise, clouds, stripes, tiles and gradients, asked in the same way."""
    for make, text in zip(cycle((_noise, _clouds, _stripes, _tiles, _gradient)), _texts(random), strict=False):
        pixels = make(np.random.default_rng(random.getrandbits(32)), random)
        yield Question(family, Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), text, Truth())


def check() -> None:
    """Raises `CommandError` where the photographs are missing."""
    _files()


def _files() -> list[Path]:
    files = [_folder("skimage") / "data" / name for name in IN_SKIMAGE]
    return files + [_folder("sklearn") / "datasets/images" / name for name in IN_SKLEARN]


def _folder(library: str) -> Path:
    spec = find_spec(library)
    if spec is None or spec.origin is None:
        raise CommandError("The photographs come with scikit-image and scikit-learn: pip install -e '.[unseen]'")
    return Path(spec.origin).parent


def _texts(random: Random) -> Iterator[str]:
    while True:
        for text in random.sample(EVERY_FAMILY, len(EVERY_FAMILY)):
            yield text
            if random.random() < 0.5:
                yield SEE


def _part(picture: Image.Image, random: Random) -> Image.Image:
    """At least two thirds of each side, turned over or not."""
    width, height = (int(side * random.uniform(0.67, 1)) for side in picture.size)
    left, top = random.randint(0, picture.width - width), random.randint(0, picture.height - height)
    part = picture.crop((left, top, left + width, top + height))
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else part


Pixels = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
HEIGHT, WIDTH = 360, 480


def _colours(rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    return rng.uniform(0, 255, 3).astype(np.float32), rng.uniform(0, 255, 3).astype(np.float32)


def _mixed(share: Pixels, rng: np.random.Generator) -> Pixels:
    """From one colour to another, by shares `[height, width]`."""
    first, second = _colours(rng)
    mixed: Pixels = first + share[..., None] * (second - first)
    return mixed


def _noise(rng: np.random.Generator, random: Random) -> Pixels:
    return rng.normal(random.uniform(60, 200), random.uniform(10, 70), (HEIGHT, WIDTH, 3)).astype(np.float32)


def _clouds(rng: np.random.Generator, random: Random) -> Pixels:
    layers = [mottled(rng, WIDTH, HEIGHT, coarse) / weight for weight, coarse in ((1, 3), (2, 8), (4, 20), (6, 60))]
    return _mixed(np.sum(layers, axis=0) / 1.92, rng)


def _stripes(rng: np.random.Generator, random: Random) -> Pixels:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    wave = np.sin((x * random.uniform(-1, 1) + y * random.uniform(-1, 1)) * random.uniform(0.05, 0.4))
    return _mixed((wave + 1) / 2, rng)


def _tiles(rng: np.random.Generator, random: Random) -> Pixels:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    side = random.randint(20, 90)
    odd = ((x // side + y // side) % 2).astype(np.float32)
    return _mixed(odd, rng) + rng.normal(0, 6, (HEIGHT, WIDTH, 1)).astype(np.float32)


def _gradient(rng: np.random.Generator, random: Random) -> Pixels:
    y, x = np.mgrid[0 : 1 : HEIGHT * 1j, 0 : 1 : WIDTH * 1j].astype(np.float32)
    share = random.random()
    return _mixed(share * x + (1 - share) * y, rng) + rng.normal(0, 3, (HEIGHT, WIDTH, 1)).astype(np.float32)
