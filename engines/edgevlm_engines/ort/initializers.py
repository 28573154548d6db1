"""The constants of an ONNX file by name, read without ONNX. Knows no models.

Field numbers are those of `onnx.proto`: ModelProto.graph 7, GraphProto.initializer 5, and TensorProto's below.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevlm_engines.ort.protobuf import fields, text, varints

GRAPH, INITIALIZER = 7, 5
DIMS, DATA_TYPE, NAME, RAW_DATA, EXTERNAL_DATA = 1, 2, 8, 9, 13
KEY, VALUE = 1, 2

DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype(np.float32), 10: np.dtype(np.float16)}
"""Of TensorProto.DataType; others are left out."""

Array = NDArray[Any]


def read_initializers(path: Path) -> dict[str, Array]:
    """The float16 and float32 constants of a graph; those beside it in a file of data are mapped, not read."""
    found: dict[str, Array] = {}
    for field, graph in fields(memoryview(path.read_bytes())):
        if field == GRAPH:
            for part, tensor in fields(graph):
                if part == INITIALIZER:
                    found.update(_tensor(tensor, path.parent))
    return found


def _tensor(message: memoryview, folder: Path) -> Iterator[tuple[str, Array]]:
    """Its name and content; nothing if its type is another."""
    dims: list[int] = []
    name, kind, raw = "", 0, memoryview(b"")
    place: dict[str, str] = {}
    for field, value in fields(message):
        if field == DIMS:
            # packed or one by one, as the writer likes
            dims += [value] if isinstance(value, int) else varints(value)
        elif field == DATA_TYPE:
            kind = value
        elif field == NAME:
            name = text(value)
        elif field == RAW_DATA:
            raw = value
        elif field == EXTERNAL_DATA:
            entry = dict(fields(value))
            place[text(entry[KEY])] = text(entry[VALUE])
    if kind not in DTYPES:
        return
    dtype = DTYPES[kind]
    if place:
        offset = int(place.get("offset", "0"))
        yield name, np.memmap(folder / place["location"], dtype, "r", offset, tuple(dims))
    elif raw:
        yield name, np.frombuffer(raw, dtype).reshape(dims)
