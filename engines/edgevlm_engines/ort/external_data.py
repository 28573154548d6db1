"""Where ONNX Runtime finds a graph's weights: in the folder where they really lie, under their real name.

A bundle's files may be links to another disk, as DVC, git-annex and shared stores make them, and folders may have
names that are not UTF-8. ONNX Runtime refuses the first and cannot be told the second. So it is given the graph's
bytes with the file's own name written into them, and the file's folder as an open descriptor. Weights stay mapped.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgevlm_engines.ort.initializers import EXTERNAL_DATA, GRAPH, INITIALIZER, KEY, VALUE
from edgevlm_engines.ort.protobuf import encoded_fields, field, fields

LOCATION = b"location"


def graph_with_weights_at(graph: Path, weights: Path) -> bytes:
    """The graph with `weights`' name, without its folder, wherever it names a file of weights."""
    model = graph.read_bytes()
    name = os.fsencode(weights.name)
    return b"".join(_relocated(memoryview(model), (GRAPH, INITIALIZER, EXTERNAL_DATA), name))


@contextmanager
def open_folder(folder: Path) -> Iterator[str]:
    """An ASCII path of a folder, for as long as the block lasts."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _relocated(message: memoryview, way: tuple[int, ...], name: bytes) -> Iterator[bytes]:
    """A message, changed at the end of a way of fields."""
    for number, value, encoded in encoded_fields(message):
        if not way or number != way[0]:
            yield bytes(encoded)
        elif len(way) > 1:
            yield field(number, b"".join(_relocated(value, way[1:], name)))
        elif dict(fields(value)).get(KEY) == LOCATION:
            yield field(number, field(KEY, LOCATION) + field(VALUE, name))
        else:
            yield bytes(encoded)
