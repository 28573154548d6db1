"""Lines of print in a given font file, with a box for every character. Knows no device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFont

from edgevlm_demo.scenes import fonts as shipped
from edgevlm_demo.scenes.canvas import Sprite
from edgevlm_demo.scenes.colours import Colour
from edgevlm_demo.scenes.scene import Mark

_SHIPPED = Path(shipped.__file__).resolve().parent.parent / "fonts"


def shipped_fonts(*, held_out: bool = False) -> tuple[Path, ...]:
    """The font files in the package: those that may be trained on, or the two that may not."""
    names = shipped.HELD_OUT if held_out else [name for name in shipped.TRAINED if name != shipped.BUILT_IN]
    return tuple(_SHIPPED / f"{name}.woff" for name in names)


@dataclass(frozen=True)
class Line:
    """A printed line: its mask in grey levels, and where each character that is not a blank lies in it."""

    mask: Image.Image
    characters: tuple[tuple[str, float, float], ...]  # character, left and right in pixels
    height: float  # of a capital, in pixels


def line(font: Path, text: str, height: float, *, spacing: float = 0.0, width: float = 1.0) -> Line:
    """`height` of a capital in pixels; `spacing` between characters in heights; `width` stretches."""
    size = max(4, round(height / _capital(font)))
    loaded = _load(font, size)
    x, cells = 0.0, []
    for character in text:
        advance = _advance(font, size, character)
        cells.append((character, x, x + advance))
        x += advance + spacing * height
    top, bottom = _extent(font, size)
    mask = Image.new("L", (max(1, round(x) + 1), bottom - top))
    draw = ImageDraw.Draw(mask)
    if spacing:
        for character, left, _ in cells:
            draw.text((left, -top), character, font=loaded, fill=255)
    else:
        draw.text((0, -top), text, font=loaded, fill=255)
    if width != 1.0:
        mask = mask.resize((max(1, round(mask.width * width)), mask.height), Image.Resampling.BILINEAR)
    seen = tuple((c, left * width, right * width) for c, left, right in cells if c != " ")
    return Line(mask, seen, height)


def write(sprite: Sprite, printed: Line, corner: tuple[float, float], ink: Colour, *, read: bool = True) -> None:
    """Paste the line with its upper left corner there; `read`: mark its characters."""
    x, y = round(corner[0]), round(corner[1])
    sprite.image.paste(ink, (x, y), printed.mask)
    if read:
        mark(sprite, printed, (x, y))


def mark(sprite: Sprite, printed: Line, corner: tuple[float, float]) -> None:
    x, y = corner
    for order, (character, left, right) in enumerate(printed.characters):
        box = (x + left, y, x + right, y + printed.mask.height)
        sprite.marks.append(Mark(character, box, order + 1))


def dotted(printed: Line) -> Line:
    """As a needle or a pin printer marks it: the strokes broken into dots."""
    period = max(2, round(printed.height / 8))
    tile = Image.new("L", (8 * period, 8 * period))
    draw = ImageDraw.Draw(tile)
    for row in range(8):
        for column in range(8):
            x, y = column * period, row * period
            draw.ellipse((x, y, x + period - 1, y + period - 1), fill=255)
    dots = Image.new("L", printed.mask.size)
    for x in range(0, dots.width, tile.width):
        for y in range(0, dots.height, tile.height):
            dots.paste(tile, (x, y))
    return Line(ImageChops.multiply(printed.mask, dots), printed.characters, printed.height)


def word(random: Random) -> str:
    """A maker's name that nobody has."""
    letters = "".join(random.choice("aeiou" if n % 2 else "bdfgklmnprstvz") for n in range(random.randint(4, 7)))
    return letters.upper() if random.random() < 0.5 else letters.capitalize()


@lru_cache(4096)
def _load(font: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(font), size)


@lru_cache(32768)
def _advance(font: Path, size: int, character: str) -> float:
    return _load(font, size).getlength(character)


@lru_cache(1024)
def _capital(font: Path) -> float:
    """Height of an 8 at size 1."""
    _, top, _, bottom = _load(font, 100).getbbox("8")
    return (bottom - top) / 100


@lru_cache(8192)
def _extent(font: Path, size: int) -> tuple[int, int]:
    _, top, _, bottom = _load(font, size).getbbox("8HE(g")
    _, above, _, below = _load(font, size).getbbox("8")
    # what hangs below the line is cut to a fifth, so that a line's box is nearly its capitals
    return round(min(top, above)) - 1, round(min(bottom, below + (below - above) / 4)) + 1
