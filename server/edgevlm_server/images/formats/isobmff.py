"""HEIC and AVIF as far as their header goes: nested boxes with a length and a name. Nothing is decoded here.

A file holds several images (tiles, thumbnails, masks) and says the size of each, but not in one place which is the
picture. The largest counts: no other is decoded into more pixels. Where an AVIF's data are larger than it says, its
reader scales them down: then the worker's memory and time are the limit.
"""

import struct
from collections.abc import Iterator
from typing import Literal

_MAX_BOXES = 1000  # in one box; a phone's picture of 48 tiles has about 10 properties
_HEIC = {b"heic", b"heix", b"heim", b"heis"}
_AVIF = {b"avif", b"avis"}
_PIXELS = b"mdat"


def brand(data: bytes) -> Literal["HEIF", "AVIF"] | None:
    """What the first box says that the file is."""
    if data[4:8] != b"ftyp":
        return None
    length = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[at : at + 4] for at in (8, *range(16, length, 4))}
    if brands & _AVIF:
        return "AVIF"
    return "HEIF" if brands & _HEIC else None


def largest_size(data: bytes) -> tuple[int, int]:
    """(width, height) of the largest image. Raises struct.error or KeyError for a file that ends or misleads."""
    _check_whole(data)
    start, end = _inner(data, 0, len(data), b"meta")
    start, end = _inner(data, start + 4, end, b"iprp")  # after version and flags
    start, end = _inner(data, start, end, b"ipco")
    sizes: list[tuple[int, int]] = [
        struct.unpack_from(">II", data, at + 4) for name, at, _ in _boxes(data, start, end) if name == b"ispe"
    ]
    if not sizes:
        raise KeyError("ispe")
    return max(sizes, key=lambda size: size[0] * size[1])


def _check_whole(data: bytes) -> None:
    """A reader paints missing tiles grey. Only the box of the pixels counts: phones append things of their own."""
    found = set()
    try:
        for name, _, _ in _boxes(data, 0, len(data)):
            found.add(name)
    except (struct.error, KeyError) as error:
        if error.args == (_PIXELS,):
            raise
    if _PIXELS not in found:
        raise KeyError(_PIXELS)


def _inner(data: bytes, start: int, end: int, wanted: bytes) -> tuple[int, int]:
    """Where the first box of that name has its contents."""
    for name, at, until in _boxes(data, start, end):
        if name == wanted:
            return at, until
    raise KeyError(wanted)


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, start of its contents, their end) of each box."""
    for _ in range(_MAX_BOXES):
        if start >= end:
            return
        length, name = struct.unpack_from(">I4s", data, start)
        head = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        until = end if length == 0 else start + length
        if (length and length < head) or until > end:
            raise KeyError(name)
        yield name, start + head, until
        start = until
