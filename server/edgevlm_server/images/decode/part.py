"""A part of an upright picture, cut, straightened and turned. Knows Pillow only: the decode worker runs it.

A crop, and a turn by quarters, are the picture's own pixels. What has to be computed anew is so by Pillow's bicubic
filter, and never has more pixels than 4096 x 4096: what would, is made from a picture that was made smaller first.
"""

import math
from collections.abc import Sequence

from PIL import Image

from edgevlm_server.images.region import Crop, Point, Region

MOST_COMPUTED = 4096 * 4096
"""Pixels. The square that the encoder takes has far fewer."""

Colour = tuple[int, int, int]


def part_of(image: Image.Image, region: Region, around: Colour) -> Image.Image:
    """The region of an RGB picture; a turn leaves corners, which get the colour. Raises `OutsideError`."""
    if region.cut is not None:
        if isinstance(region.cut, Crop):
            image = image.crop(region.cut.box(*image.size))
        else:
            image = _straightened(image, region.cut.points(*image.size))
    return _turned(image, region.rotate, around) if region.rotate else image


def _straightened(image: Image.Image, corners: Sequence[Point]) -> Image.Image:
    """As wide and high as the longer ones of the opposite sides, so that nothing is lost."""
    one, two, three, four = corners
    width = max(math.dist(one, two), math.dist(four, three))
    height = max(math.dist(one, four), math.dist(two, three))
    image, factor = _small_enough(image, width * height)
    size = max(1, round(width / factor)), max(1, round(height / factor))
    seen_from = from_rectangle(size, [(x / factor, y / factor) for x, y in corners])
    return image.transform(size, Image.Transform.PERSPECTIVE, seen_from, Image.Resampling.BICUBIC)


def from_rectangle(size: tuple[int, int], corners: Sequence[Point]) -> tuple[float, ...]:
    """Where each point of a rectangle comes from, if its corners come from these: Pillow's eight coefficients.

    A point x, y comes from (ax + by + c, dx + ey + f) / (gx + hy + 1). Heckbert, Fundamentals of Texture Mapping and
    Image Warping, 1989, section 2.2.3.
    """
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners
    across_x, across_y = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3
    right_x, right_y, down_x, down_y = x1 - x2, y1 - y2, x3 - x2, y3 - y2
    area = right_x * down_y - down_x * right_y
    g = (across_x * down_y - down_x * across_y) / area
    h = (right_x * across_y - across_x * right_y) / area
    a, b = x1 - x0 + g * x1, x3 - x0 + h * x3
    d, e = y1 - y0 + g * y1, y3 - y0 + h * y3
    width, height = size
    return a / width, b / height, x0, d / width, e / height, y0, g / width, h / height


def _turned(image: Image.Image, degrees: float, around: Colour) -> Image.Image:
    """Clockwise, with all of it to be seen."""
    if degrees % 90:
        radians = math.radians(degrees)
        across, along = abs(math.sin(radians)), abs(math.cos(radians))
        width, height = image.size
        image, _ = _small_enough(image, (width * along + height * across) * (width * across + height * along))
    return image.rotate(-degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=around)


def _small_enough(image: Image.Image, pixels: float) -> tuple[Image.Image, int]:
    """The picture at 1/n, for the least n at which so many pixels become few enough, and that n."""
    factor = math.ceil(math.sqrt(pixels / MOST_COMPUTED))
    return (image.reduce(factor), factor) if factor > 1 else (image, 1)
