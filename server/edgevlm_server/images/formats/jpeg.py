"""What the markers of a JPEG say: its size, and whether all of it is there. Nothing is decoded here."""

import re
import struct
from dataclasses import dataclass, field

from edgevlm_server.images.formats.limits import ImageLimits, invalid

_EOI, _SOS = 0xD9, 0xDA
_SOF_READ = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_SOF_OTHER = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)  # lossless, arithmetic, hierarchical
# Every marker that has a length or ends the picture. Restart markers and stuffed zeros are stepped over in C:
# there may be millions of them.
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
_MAX_SEGMENTS = 20_000  # 64 KB each, but some cameras write many small ones
_ALL_COEFFICIENTS = (1 << 64) - 1


@dataclass(slots=True)
class _Frame:
    width: int
    height: int
    components: int
    scans: int = 0
    exact: dict[int, int] = field(default_factory=dict)
    """By component, one bit for each of the 64 coefficients of which all bits have come."""

    def is_whole(self) -> bool:
        return len(self.exact) == self.components and set(self.exact.values()) == {_ALL_COEFFICIENTS}


def jpeg_size(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """(width, height). Raises `ImageError`, and struct.error or IndexError for a file that ends early.

    Walks the markers as libjpeg does, so that it cannot meet a scan that was not counted here. The mark of the end
    may be missing, if nothing else is: some cameras and downloads drop it.
    """
    frame: _Frame | None = None
    position = 2
    for _ in range(_MAX_SEGMENTS):
        match = _MARKER.search(data, position)
        if match is None or match[1][0] == _EOI:
            if frame is None or frame.scans == 0 or (match is None and not frame.is_whole()):
                raise invalid()
            return frame.width, frame.height
        kind, position = match[1][0], match.end()
        if kind in _SOF_OTHER:
            raise limits.unsupported()
        if kind in _SOF_READ:
            if frame is not None:
                raise invalid()
            frame = _frame(data, position, limits)
        elif kind == _SOS:
            if frame is None:
                raise invalid()
            _count_scan(frame, data, position + 2, limits)
        position += struct.unpack_from(">H", data, position)[0]
    raise invalid()


def _frame(data: bytes, position: int, limits: ImageLimits) -> _Frame:
    precision, height, width, components = struct.unpack_from(">BHHB", data, position + 2)
    if precision != 8:
        raise limits.unsupported()
    return _Frame(width, height, components)


def _count_scan(frame: _Frame, data: bytes, position: int, limits: ImageLimits) -> None:
    frame.scans += 1
    if frame.scans > limits.max_scans:
        raise limits.too_many_scans()
    count = data[position]
    first, last, bits = struct.unpack_from("3B", data, position + 1 + 2 * count)
    if bits & 0x0F or not first <= last < 64:  # lower bits are to come
        return
    for component in data[position + 1 : position + 1 + 2 * count : 2]:
        frame.exact[component] = frame.exact.get(component, 0) | (2 << last) - (1 << first)
