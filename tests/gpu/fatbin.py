"""Code for GPUs inside a shared library: what is for others than those named is overwritten with zeros.

The library keeps its size and its addresses, and compresses to a fraction. It then runs on those GPUs alone.
"""

import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

SECTION = b".nv_fatbin"
MAGIC = 0xBA55ED50
"""Of a container, of which a section holds many, each aligned to 8 bytes."""

_ARCHITECTURE = 28
"""Where an entry's header says which compute capability it is for, without its point."""


class Stretch(NamedTuple):
    offset: int
    size: int


def prune(library: Path, keep: Collection[int]) -> dict[int, int]:
    """Change `library` in place; returns how many bytes of code there were for each compute capability."""
    data = bytearray(library.read_bytes())
    sizes: dict[int, int] = {}
    for section in _sections(data):
        for compute, code in _code(data, section):
            sizes[compute] = sizes.get(compute, 0) + code.size
            if compute not in keep:
                data[code.offset : code.offset + code.size] = bytes(code.size)
    library.write_bytes(data)
    return sizes


def _sections(data: bytearray) -> Iterator[Stretch]:
    """Of a 64-bit ELF file, those that hold code for GPUs."""
    (table,) = struct.unpack_from("<Q", data, 0x28)
    entry_size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", data, table + index * entry_size) for index in range(count)]
    texts = headers[names][4]
    for name, _, _, _, offset, size in headers:
        if data[texts + name : texts + name + len(SECTION) + 1] == SECTION + b"\0":
            yield Stretch(offset, size)


def _code(data: bytearray, section: Stretch) -> Iterator[tuple[int, Stretch]]:
    position, end = section.offset, section.offset + section.size
    while position + 16 <= end:
        magic, _, header, size = struct.unpack_from("<IHHQ", data, position)
        if magic != MAGIC:
            position += 8
            continue
        yield from _entries(data, Stretch(position + header, size))
        position += header + size


def _entries(data: bytearray, container: Stretch) -> Iterator[tuple[int, Stretch]]:
    position, end = container.offset, container.offset + container.size
    while position < end:
        header, size = struct.unpack_from("<IQ", data, position + 4)
        (compute,) = struct.unpack_from("<I", data, position + _ARCHITECTURE)
        yield compute, Stretch(position + header, size)
        position += header + size
