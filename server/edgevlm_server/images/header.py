"""What a picture says it is, read from its first bytes in plain Python. Nothing is decoded here.

A header can lie. The worker therefore holds Pillow to the number of pixels found here.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from edgevlm_server.images import isobmff
from edgevlm_server.images.limits import ImageFormat, ImageLimits, invalid

_DRAFT_SCALES = (2, 4, 8)  # what libjpeg offers


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
        if image_format == "JPEG":
            return _check_jpeg(data, limits)
        width, height = _SIZES[image_format](data)
    except (struct.error, IndexError, KeyError):
        raise invalid() from None
    _check_size(width, height, limits.max_pixels, limits)
    return ImageHeader(image_format, width, height)


def _sniff(data: bytes) -> ImageFormat | None:
    for start, image_format in _MAGIC:
        if data.startswith(start):
            return image_format
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return isobmff.brand(data)


def _check_size(width: int, height: int, max_pixels: int, limits: ImageLimits) -> None:
    if width < 1 or height < 1:
        raise invalid()
    if max(width, height) > limits.max_side or width * height > max_pixels:
        raise limits.too_many_pixels()


# JPEG


@dataclass(slots=True)
class _Jpeg:
    width: int
    height: int
    components: int
    progressive: bool
    scans: int = 0
    first_scan_components: int = 0

    @property
    def one_pass(self) -> bool:
        """Such a JPEG is decoded in strips; any other needs memory for all of its coefficients at once."""
        return not self.progressive and self.scans == 1 and self.first_scan_components == self.components


_EOI, _SOS = 0xD9, 0xDA
_SOF_READ = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_SOF_OTHER = (
    0xC3,
    0xC5,
    0xC6,
    0xC7,
    0xC9,
    0xCA,
    0xCB,
    0xCD,
    0xCE,
    0xCF,
)  # lossless, arithmetic, hierarchical
# Every marker that has a length or ends the picture. Restart markers and stuffed zeros are stepped over in C:
# there may be millions of them.
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
_MAX_SEGMENTS = 1000  # 64 KB each: more than the largest file needs


def _check_jpeg(data: bytes, limits: ImageLimits) -> ImageHeader:
    jpeg = _read_jpeg(data, limits)
    if jpeg is None or jpeg.scans == 0:
        raise invalid()
    largest = max(limits.max_pixels, limits.max_jpeg_pixels) if jpeg.one_pass else limits.max_pixels
    _check_size(jpeg.width, jpeg.height, largest, limits)
    return ImageHeader("JPEG", jpeg.width, jpeg.height, _draft_scale(jpeg.width * jpeg.height, limits))


def _read_jpeg(data: bytes, limits: ImageLimits) -> _Jpeg | None:
    """Walks the markers as libjpeg does, so that it cannot meet a scan that was not counted here."""
    jpeg: _Jpeg | None = None
    position = 2
    for _ in range(_MAX_SEGMENTS):
        match = _MARKER.search(data, position)
        if match is None or match[1][0] == _EOI:
            return jpeg
        kind, position = match[1][0], match.end()
        if kind in _SOF_OTHER:
            raise limits.unsupported()
        if kind in _SOF_READ:
            if jpeg is not None:
                raise invalid()
            jpeg = _frame(data, position, kind, limits)
        elif kind == _SOS:
            if jpeg is None:
                raise invalid()
            _count_scan(jpeg, data[position + 2], limits)
        position += struct.unpack_from(">H", data, position)[0]
    raise invalid()


def _frame(data: bytes, position: int, kind: int, limits: ImageLimits) -> _Jpeg:
    precision, height, width, components = struct.unpack_from(">BHHB", data, position + 2)
    if precision != 8:
        raise limits.unsupported()
    return _Jpeg(width, height, components, progressive=kind == 0xC2)


def _count_scan(jpeg: _Jpeg, components: int, limits: ImageLimits) -> None:
    jpeg.scans += 1
    jpeg.first_scan_components = jpeg.first_scan_components or components
    if jpeg.scans > limits.max_scans:
        raise limits.too_many_scans()


def _draft_scale(pixels: int, limits: ImageLimits) -> int:
    if pixels <= limits.max_pixels:  # smaller pictures keep every pixel: a draft changes them slightly
        return 1
    for scale in _DRAFT_SCALES:
        if pixels <= limits.max_pixels * scale * scale:
            return scale
    raise limits.too_many_pixels()


# The other formats: (width, height)


def _png(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise invalid()
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp(data: bytes) -> tuple[int, int]:
    (header_size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header_size == 12 else "<ii", data, 18)
    return width, abs(height)  # negative: rows from the top


def _webp(data: bytes) -> tuple[int, int]:
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


def _tiff(data: bytes) -> tuple[int, int]:
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (entries,) = struct.unpack_from(f"{order}H", data, start)
    sides: dict[int, int] = {}
    for entry in range(start + 2, start + 2 + 12 * entries, 12):
        tag, kind = struct.unpack_from(f"{order}HH", data, entry)
        if tag in (_TIFF_WIDTH, _TIFF_HEIGHT):
            (sides[tag],) = struct.unpack_from(order + _TIFF_INTEGERS[kind], data, entry + 8)
    return sides[_TIFF_WIDTH], sides[_TIFF_HEIGHT]


_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_TIFF_INTEGERS = {1: "B", 3: "H", 4: "I"}

_MAGIC: tuple[tuple[bytes, ImageFormat], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
)
_SIZES: dict[ImageFormat, Callable[[bytes], tuple[int, int]]] = {
    "PNG": _png,
    "WEBP": _webp,
    "BMP": _bmp,
    "GIF": _gif,
    "TIFF": _tiff,
    "AVIF": isobmff.largest_size,
    "HEIF": isobmff.largest_size,
}
