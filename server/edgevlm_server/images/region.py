"""The part of a picture that is meant, and how it is turned: texts as clients write them, and geometry. No pixels.

Everything is about the upright picture, after its EXIF orientation. Points lie on the grid between pixels: 0,0 is the
top left corner of the top left pixel, and the picture's width and height are its bottom right corner.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Field = Literal["crop", "rotate", "deskew"]
Point = tuple[float, float]
Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in whole pixels."""

MAX_REGION_TEXT = 200
"""Characters of one of the texts."""
DECIMALS = 4
"""Numbers are rounded to so many, so that equal parts have equal texts: 0.016 pixels of the widest picture."""

_PERCENT = "pct:"
_WHOLE_NUMBER = re.compile(r"[0-9]{1,5}")
_NUMBER = re.compile(r"[0-9]{1,5}(\.[0-9]*)?")
_SIGNED_NUMBER = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]*)?")
_ROUNDING = 10.0**-DECIMALS * 2.5
"""By how much a rounded place and a rounded length may exceed 100 percent together."""
_FLATTEST = 0.01
"""The least sine of a corner's angle: below it, three corners are as good as on one line."""

CROP_FORM = "It must be 'x,y,width,height' in whole pixels, or in percent with 'pct:' in front: 'pct:25,10,50,30'"
ROTATE_FORM = "It must be a number of degrees from -360 to 360, clockwise"
DESKEW_FORM = (
    "It must be four corners 'x,y x,y x,y x,y' in pixels, or in percent with 'pct:' in front, from the top left one "
    "clockwise"
)


class RegionError(ValueError):
    """A text is wrong in itself, whatever the picture. Its own text has no full stop and repeats nothing of it."""

    def __init__(self, field: Field, message: str) -> None:
        super().__init__(message)
        self.field = field


class OutsideError(Exception):
    """The picture is smaller than the region."""


@dataclass(frozen=True, slots=True)
class Crop:
    """An upright rectangle: place and size in pixels, or in percent of the picture's."""

    x: float
    y: float
    width: float
    height: float
    percent: bool

    @classmethod
    def parse(cls, text: str) -> "Crop | None":
        """`None` for all of the picture. Raises `RegionError`."""
        percent, rest = _unit(text)
        parts = [part.strip() for part in rest.split(",")]
        form = _NUMBER if percent else _WHOLE_NUMBER
        if len(parts) != 4 or not all(map(form.fullmatch, parts)):
            raise RegionError("crop", CROP_FORM)
        x, y, width, height = map(_rounded, parts)
        made = cls(x, y, width, height, percent)
        if made.width == 0 or made.height == 0:
            raise RegionError("crop", "Its width and height must be more than 0")
        if percent and max(made.x + made.width, made.y + made.height) > 100 + _ROUNDING:
            raise RegionError("crop", "It reaches out of the picture: place and size exceed 100 percent together")
        return None if made == _ALL else made

    def box(self, width: int, height: int) -> Box:
        """In a picture of this size, at least one pixel. Raises `OutsideError`."""
        if self.percent:
            left, right = _pixels(self.x, self.width, width)
            top, bottom = _pixels(self.y, self.height, height)
            return left, top, right, bottom
        left, top, right, bottom = map(int, (self.x, self.y, self.x + self.width, self.y + self.height))
        if right > width or bottom > height:
            raise OutsideError
        return left, top, right, bottom

    def __str__(self) -> str:
        return _written(self.percent, ",".join(map(_short, (self.x, self.y, self.width, self.height))))


@dataclass(frozen=True, slots=True)
class Deskew:
    """Four corners, from the top left one clockwise, of what becomes an upright rectangle."""

    corners: tuple[Point, Point, Point, Point]
    percent: bool

    @classmethod
    def parse(cls, text: str) -> "Deskew | None":
        """`None` for all of the picture. Raises `RegionError`, also for corners that make no convex quadrilateral."""
        percent, rest = _unit(text)
        pairs = [pair.split(",") for pair in rest.split()]
        numbers = [number for pair in pairs for number in pair]
        if [len(pair) for pair in pairs] != [2] * 4 or not all(map(_NUMBER.fullmatch, numbers)):
            raise RegionError("deskew", DESKEW_FORM)
        first, second, third, fourth = ((_rounded(x), _rounded(y)) for x, y in pairs)
        corners = (first, second, third, fourth)
        if percent and max(max(corner) for corner in corners) > 100:
            raise RegionError("deskew", "It reaches out of the picture: a corner lies beyond 100 percent")
        _check_corners(corners)
        made = cls(corners, percent)
        return None if made == _ALL_STRAIGHT else made

    def points(self, width: int, height: int) -> tuple[Point, ...]:
        """The corners in a picture of this size, in pixels. Raises `OutsideError`."""
        if self.percent:
            return tuple((x * width / 100, y * height / 100) for x, y in self.corners)
        if any(x > width or y > height for x, y in self.corners):
            raise OutsideError
        return self.corners

    def __str__(self) -> str:
        return _written(self.percent, " ".join(f"{_short(x)},{_short(y)}" for x, y in self.corners))


_ALL = Crop(0, 0, 100, 100, percent=True)
_ALL_STRAIGHT = Deskew(((0, 0), (100, 0), (100, 100), (0, 100)), percent=True)


@dataclass(frozen=True, slots=True)
class Region:
    """What is cut out, if anything is, and by how many degrees that is turned clockwise: 0 to below 360."""

    cut: Crop | Deskew | None = None
    rotate: float = 0.0

    @classmethod
    def parse(
        cls, crop: str | None = None, rotate: str | float | None = None, deskew: str | None = None
    ) -> "Region | None":
        """From the texts of a request; empty ones count as absent. `None`: the picture as it is.

        Raises `RegionError`.
        """
        if crop and deskew:
            raise RegionError("deskew", "It cuts the picture itself, so it cannot stand beside 'crop'")
        cut = Crop.parse(crop) if crop else Deskew.parse(deskew) if deskew else None
        made = cls(cut, parse_degrees(rotate))
        return None if made == cls() else made

    @classmethod
    def read(cls, text: str) -> "Region | None":
        """Of its own text, or of an empty one."""
        fields = dict(pair.split("=") for pair in text.split(";") if pair)
        return cls.parse(**fields)

    def __str__(self) -> str:
        """The same for all regions that are equal, and for no other."""
        fields = []
        if self.cut is not None:
            fields.append(f"{'crop' if isinstance(self.cut, Crop) else 'deskew'}={self.cut}")
        if self.rotate:
            fields.append(f"rotate={_short(self.rotate)}")
        return ";".join(fields)


def parse_degrees(rotate: str | float | None) -> float:
    """From 0 to below 360. Raises `RegionError`."""
    if rotate is None or rotate == "":
        return 0.0
    if isinstance(rotate, str) and not _SIGNED_NUMBER.fullmatch(rotate.strip()):
        raise RegionError("rotate", ROTATE_FORM)
    degrees = float(rotate)
    if not -360 <= degrees <= 360:  # nor is NaN
        raise RegionError("rotate", ROTATE_FORM)
    return round(degrees % 360, DECIMALS) % 360


def _unit(text: str) -> tuple[bool, str]:
    """Whether it is in percent, and the numbers."""
    text = text.strip()
    return text.startswith(_PERCENT), text.removeprefix(_PERCENT)


def _rounded(text: str) -> float:
    return round(float(text), DECIMALS)


def _short(value: float) -> str:
    return f"{value:.{DECIMALS}f}".rstrip("0").rstrip(".")


def _written(percent: bool, numbers: str) -> str:
    return _PERCENT + numbers if percent else numbers


def _pixels(place: float, length: float, side: int) -> tuple[int, int]:
    """From percent to the nearest borders between pixels, which are never the same one."""
    begin = min(math.floor(place * side / 100 + 0.5), side - 1)
    end = min(math.floor((place + length) * side / 100 + 0.5), side)
    return begin, max(end, begin + 1)


def _check_corners(corners: Sequence[Point]) -> None:
    turns = [_turn(corners[index - 2], corners[index - 1], corners[index]) for index in range(4)]
    if all(turn < -_FLATTEST for turn in turns):
        raise RegionError("deskew", "Its corners run anticlockwise, which would mirror the part")
    if not all(turn > _FLATTEST for turn in turns):
        raise RegionError("deskew", "Its corners must make a convex quadrilateral, no three of them on one line")


def _turn(one: Point, two: Point, three: Point) -> float:
    """The sine of the turn at the second of three points: more than 0 for clockwise, since y points down."""
    (x0, y0), (x1, y1), (x2, y2) = one, two, three
    lengths = math.hypot(x1 - x0, y1 - y0) * math.hypot(x2 - x1, y2 - y1)
    return ((x1 - x0) * (y2 - y1) - (y1 - y0) * (x2 - x1)) / lengths if lengths else 0.0
