"""Fonts of Debian's packages, by the name of the file. Knows no drawing; says which packages are missing."""

from functools import cache
from pathlib import Path

from PIL import ImageFont

from edgevlm.errors import CommandError

FOLDER = Path("/usr/share/fonts")

PACKAGES = {
    "fonts-liberation": "truetype/liberation/LiberationSans-Regular.ttf",
    "fonts-dejavu-core": "truetype/dejavu/DejaVuSans.ttf",
    "fonts-freefont-ttf": "truetype/freefont/FreeSans.ttf",
    "fonts-ocr-a": "truetype/ocr-a/OCRA.ttf",
    "fonts-ocr-b": "opentype/ocr-b/OCRB.otf",
    "fonts-opendin": "truetype/opendin/OSP-DIN.ttf",
    "fonts-dseg": "truetype/dseg/DSEG7Classic-Regular.ttf",
}
"""A file of each package."""

SANS = (
    "truetype/liberation/LiberationSans-Regular.ttf",
    "truetype/liberation/LiberationSans-Bold.ttf",
    "truetype/liberation/LiberationSansNarrow-Bold.ttf",
    "truetype/dejavu/DejaVuSans.ttf",
    "truetype/dejavu/DejaVuSans-Bold.ttf",
    "truetype/freefont/FreeSans.ttf",
    "truetype/freefont/FreeSansBold.ttf",
    "truetype/opendin/OSP-DIN.ttf",
)
PRINTED = (
    *SANS,
    "truetype/liberation/LiberationMono-Regular.ttf",
    "truetype/liberation/LiberationMono-Bold.ttf",
    "truetype/liberation/LiberationSerif-Bold.ttf",
    "truetype/dejavu/DejaVuSansMono-Bold.ttf",
    "truetype/freefont/FreeMonoBold.ttf",
    "truetype/ocr-a/OCRA.ttf",
    "opentype/ocr-b/OCRB.otf",
)
SEGMENTS = (
    "truetype/dseg/DSEG7Classic-Regular.ttf",
    "truetype/dseg/DSEG7Classic-Bold.ttf",
    "truetype/dseg/DSEG7Classic-Italic.ttf",
    "truetype/dseg/DSEG7ClassicMini-Bold.ttf",
    "truetype/dseg/DSEG7Modern-Bold.ttf",
    "truetype/dseg/DSEG7Modern-Italic.ttf",
    "truetype/dseg/DSEG7ModernMini-Regular.ttf",
)


def check() -> None:
    """Raises `CommandError` that names Debian's packages to install."""
    missing = [package for package, file in PACKAGES.items() if not (FOLDER / file).exists()]
    if missing:
        raise CommandError(f"Fonts are missing: apt-get install {' '.join(missing)}")


@cache
def font(file: str, size: int) -> ImageFont.FreeTypeFont:
    """One of the files above, `size` pixels high."""
    return ImageFont.truetype(str(FOLDER / file), size)
