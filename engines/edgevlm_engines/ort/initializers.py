"""The constants of an ONNX file by name, read without ONNX: as much of protobuf as that takes. Knows no models.

Field numbers are those of `onnx.proto`: ModelProto.graph 7, GraphProto.initializer 5, and TensorProto's below.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRAPH, INITIALIZER = 7, 5
DIMS, DATA_TYPE, NAME, RAW_DATA, EXTERNAL_DATA = 1, 2, 8, 9, 13
KEY, VALUE = 1, 2

DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype(np.float32), 10: np.dtype(np.float16)}
"""Of TensorProto.DataType; others are left out."""

VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5

Array = NDArray[Any]


def read_initializers(path: Path) -> dict[str, Array]:
    """The float16 and float32 constants of a graph; those beside it in a file of data are mapped, not read."""
    found: dict[str, Array] = {}
    for field, graph in _fields(memoryview(path.read_bytes())):
        if field == GRAPH:
            for part, tensor in _fields(graph):
                if part == INITIALIZER:
                    found.update(_tensor(tensor, path.parent))
    return found


def _tensor(message: memoryview, folder: Path) -> Iterator[tuple[str, Array]]:
    """Its name and content; nothing if its type is another."""
    dims: list[int] = []
    name, kind, raw = "", 0, memoryview(b"")
    place: dict[str, str] = {}
    for field, value in _fields(message):
        if field == DIMS:
            # packed or one by one, as the writer likes
            dims += [value] if isinstance(value, int) else _varints(value)
        elif field == DATA_TYPE:
            kind = value
        elif field == NAME:
            name = _text(value)
        elif field == RAW_DATA:
            raw = value
        elif field == EXTERNAL_DATA:
            entry = dict(_fields(value))
            place[_text(entry[KEY])] = _text(entry[VALUE])
    if kind not in DTYPES:
        return
    dtype = DTYPES[kind]
    if place:
        offset = int(place.get("offset", "0"))
        yield name, np.memmap(folder / place["location"], dtype, "r", offset, tuple(dims))
    elif raw:
        yield name, np.frombuffer(raw, dtype).reshape(dims)


def _text(value: memoryview) -> str:
    return bytes(value).decode()


def _varints(data: memoryview) -> list[int]:
    numbers, at = [], 0
    while at < len(data):
        number, at = _varint(data, at)
        numbers.append(number)
    return numbers


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Number and value of each field: an integer, or the bytes of anything longer."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        field, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = _varint(data, at)
            yield field, value
            continue
        if kind == BYTES:
            size, at = _varint(data, at)
        else:
            size = {FIXED_64: 8, FIXED_32: 4}[kind]
        yield field, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
