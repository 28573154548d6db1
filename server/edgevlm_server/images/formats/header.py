"""What a picture says it is, read from its first bytes in plain Python. Nothing is decoded here.

A header can lie. The worker therefore holds Pillow to the number of pixels found here.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from edgevlm_server.images.formats import isobmff
from edgevlm_server.images.formats.jpeg import jpeg_size
from edgevlm_server.images.formats.limits import ImageFormat, ImageLimits, invalid
from edgevlm_server.images.formats.tiff import tiff_size

_DRAFT_SCALES = (1, 2, 4, 8)  # what libjpeg offers


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """`width` and `height` in pixels as stored, before any rotation. `scale`: decode at 1/scale (JPEG)."""

    format: ImageFormat
    width: int
    height: int
    scale: int = 1


def read_header(data: bytes, limits: ImageLimits) -> ImageHeader:
    """Checks a picture against every limit that its header shows.

    Raises ImageError: image_unsupported, image_too_large or image_invalid.
    """
    if len(data) > limits.max_bytes:
        raise limits.too_many_bytes()
    image_format = _sniff(data)
    if image_format == "HEIF" and image_format not in limits.formats:
        raise limits.without_heic()
    if image_format is None or image_format not in limits.formats:
        raise limits.unsupported()
    try:
        width, height = _SIZES[image_format](data, limits)
    except (struct.error, IndexError, KeyError):
        raise invalid() from None
    if width < 1 or height < 1:
        raise invalid()
    if max(width, height) > limits.max_side or width * height > limits.most_pixels(image_format):
        raise limits.too_many_pixels(image_format)
    scale = _draft_scale(width * height, limits) if image_format == "JPEG" else 1
    return ImageHeader(image_format, width, height, scale)


def _sniff(data: bytes) -> ImageFormat | None:
    for start, image_format in _MAGIC:
        if data.startswith(start):
            return image_format
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return isobmff.brand(data)


def _draft_scale(pixels: int, limits: ImageLimits) -> int:
    """Smaller pictures keep every pixel: a draft changes them slightly."""
    enough = (scale for scale in _DRAFT_SCALES if pixels <= limits.whole_pixels * scale * scale)
    return next(enough, _DRAFT_SCALES[-1])


# (width, height)


def _png(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise invalid()
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    (header_size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header_size == 12 else "<ii", data, 18)
    return width, abs(height)  # negative: rows from the top


def _webp(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise invalid()


def _largest(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    return isobmff.largest_size(data)


_MAGIC: tuple[tuple[bytes, ImageFormat], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
)
_SIZES: dict[ImageFormat, Callable[[bytes, ImageLimits], tuple[int, int]]] = {
    "JPEG": jpeg_size,
    "PNG": _png,
    "WEBP": _webp,
    "BMP": _bmp,
    "GIF": _gif,
    "TIFF": tiff_size,
    "AVIF": _largest,
    "HEIF": _largest,
}
