"""Pictures of this machine and of Python programs as pixels, or a sentence on why not. Knows no models."""

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgevlm_server.images.decode.decoder import ImageWorkerError
from edgevlm_server.images.formats.limits import ImageError

from edgevlm.errors import CommandError

if TYPE_CHECKING:
    import numpy as np
    from edgevlm_server.images.intake import ImageIntake
    from edgevlm_server.images.region import Region
    from numpy.typing import NDArray

FOR_PNG = {
    **dict.fromkeys(("CMYK", "YCbCr", "HSV", "LAB", "RGBX"), "RGB"),
    **dict.fromkeys(("PA", "RGBa"), "RGBA"),
}
"""What Pillow converts modes to that a PNG file cannot hold; how bright 1 is in the others is not known."""


class PillowPicture(Protocol):
    """What Pillow's pictures can do."""

    @property
    def mode(self) -> str: ...
    def convert(self, mode: str) -> "PillowPicture": ...
    def getexif(self) -> Any: ...
    def save(self, fp: io.BytesIO, format: str, *, exif: Any = ...) -> None: ...


Picture = str | os.PathLike[str] | bytes | PillowPicture
"""A file's path, its bytes, or a picture of Pillow."""


def picture_pixels(intake: "ImageIntake", picture: Picture, region: "Region | None" = None) -> "NDArray[np.float32]":
    """`[3, size, size]`, of all of it or of a part. Raises `CommandError`, naming it, if it cannot be read."""
    name = str(picture) if isinstance(picture, str | os.PathLike) else "The picture"
    try:
        if isinstance(picture, str | os.PathLike):
            return intake.pixels_of_file(Path(picture), region)
        return intake.pixels(picture if isinstance(picture, bytes) else _saved(picture), region)
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror or error}.") from None
    except (ImageError, ImageWorkerError) as error:
        raise CommandError(f"{name}: {error}") from None


def _saved(picture: PillowPicture) -> bytes:
    buffer = io.BytesIO()
    mode = FOR_PNG.get(picture.mode)
    # by which it is turned upright, as the file would be
    (picture if mode is None else picture.convert(mode)).save(buffer, "PNG", exif=picture.getexif())
    return buffer.getvalue()
