"""Masks of characters and words from the fonts that ship with the package. Knows no scene.

`HELD_OUT` fonts are never trained on.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from edgevlm_demo.scenes.scene import Style

_FOLDER = Path(__file__).resolve().parent.parent / "fonts"
BUILT_IN = "pillow"  # the font inside Pillow
TRAINED = (
    BUILT_IN,
    "b612-mono-400",
    "barlow-condensed-600",
    "courier-prime-700",
    "ibm-plex-mono-600",
    "oswald-500",
    "overpass-mono-600",
    "roboto-500",
    "roboto-slab-600",
    "share-tech-mono-400",
    "source-sans-3-700",
)
HELD_OUT = ("fira-sans-500", "jetbrains-mono-700")
SEGMENTS_HELD_OUT = ("DSEG7Classic-BoldItalic", "DSEG7Modern-Regular")
TALL = 64  # pixels: the height of a stored character, or nearly


def names(style: Style) -> tuple[str, ...]:
    """The fonts of labels and scales."""
    return HELD_OUT if style == "held out" else TRAINED


@cache
def mask(font: str, text: str, stroke: int = 0) -> Image.Image:
    """`text` in grey levels, cut to its ink; `stroke` thickens it, in 64ths of the height."""
    loaded = _load(font)
    x0, y0, x1, y1 = loaded.getbbox(text, stroke_width=stroke)
    image = Image.new("L", (max(1, round(x1 - x0)), max(1, round(y1 - y0))))
    ImageDraw.Draw(image).text((-x0, -y0), text, font=loaded, fill=255, stroke_width=stroke)
    return image


@cache
def scaled(font: str, text: str, stroke: int, width: int, height: int) -> Image.Image:
    """The mask at a size in pixels."""
    return mask(font, text, stroke).resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)


def of_height(font: str, text: str, height: float) -> Image.Image:
    """The mask at a height in pixels, its proportions kept."""
    whole = mask(font, text)
    return scaled(font, text, 0, max(1, round(whole.width * height / whole.height)), max(1, round(height)))


@cache
def _load(name: str) -> ImageFont.FreeTypeFont:
    def at(size: int) -> ImageFont.FreeTypeFont:
        if name != BUILT_IN:
            return ImageFont.truetype(str(_FOLDER / f"{name}.woff"), size)
        font = ImageFont.load_default(size=size)
        assert isinstance(font, ImageFont.FreeTypeFont)
        return font

    trial = at(100)
    _, top, _, bottom = trial.getbbox("8")
    return at(round(100 * TALL / (bottom - top)))


@cache
def cell(font: str, text: str) -> Image.Image:
    """The mask of one character as it stands in the box of an 8, for fonts of equal widths."""
    loaded = _load(font)
    x0, y0, x1, y1 = loaded.getbbox("8")
    image = Image.new("L", (round(x1 - x0), round(y1 - y0)))
    ImageDraw.Draw(image).text((-x0, -y0), text, font=loaded, fill=255)
    return image
