"""Writes torch's zip archives without torch, sound ones and bad ones."""

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from edgevlm_export.checkpoint.pickle_reader import read_torch_file

Array = np.ndarray[Any, np.dtype[Any]]

STORAGES = {
    "bfloat16": "BFloat16Storage",
    "float16": "HalfStorage",
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
PROTOCOL, STOP, MARK, TUPLE, REDUCE, EMPTY_DICT, BUILD = b"\x80\x02", b".", b"(", b"t", b"R", b"}", b"b"
FALSE, EMPTY_TUPLE, SETITEMS, PERSISTENT = b"\x89", b")", b"u", b"Q"


def text(value: str) -> bytes:
    """Pickle code that pushes a string."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    """Pickle code that pushes an integer."""
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def sizes(values: tuple[int, ...]) -> bytes:
    """Pickle code that pushes a tuple of integers."""
    return MARK + b"".join(map(number, values)) + TUPLE


def named(name: str) -> bytes:
    """Pickle code that pushes the global "module name"."""
    return b"c" + name.replace(" ", "\n").encode() + b"\n"


def storage(kind: str, key: str, length: int) -> bytes:
    """Pickle code that pushes a storage of `length` elements."""
    parts = [text("storage"), named(f"torch {kind}"), text(key), text("cpu"), number(length)]
    return MARK + b"".join(parts) + TUPLE + PERSISTENT


def tensor_arguments(stored: bytes, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """Pickle code that pushes what `_rebuild_tensor_v2` is called with."""
    hooks = named("collections OrderedDict") + EMPTY_TUPLE + REDUCE
    return MARK + stored + number(offset) + sizes(shape) + sizes(strides) + FALSE + hooks + TUPLE


def tensor(stored: bytes, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """Pickle code that pushes a tensor."""
    return named("torch._utils _rebuild_tensor_v2") + tensor_arguments(stored, offset, shape, strides) + REDUCE


def contiguous(array: Array, key: str) -> bytes:
    """Pickle code that pushes a tensor which fills the storage `key`."""
    strides = tuple(stride // array.itemsize for stride in np.ascontiguousarray(array).strides)
    return tensor(storage(STORAGES[array.dtype.name], key, array.size), 0, array.shape, strides[: array.ndim])


def table(entries: Mapping[str, bytes]) -> bytes:
    """A whole program: a dict of names and the values that the given code pushes."""
    items = b"".join(text(name) + code for name, code in entries.items())
    return PROTOCOL + EMPTY_DICT + MARK + items + SETITEMS + STOP


def write_members(path: Path, members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """A zip of the given members."""
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def write_program(path: Path, program: bytes, *data: bytes) -> Path:
    """An archive with that pickle and storages 0, 1, 2, ..."""
    members = {"model/data.pkl": program, "model/byteorder": b"little"}
    members |= {f"model/data/{key}": content for key, content in enumerate(data)}
    return write_members(path, members | {"model/version": b"3\n"})


def write_tensors(path: Path, arrays: Mapping[str, Array]) -> Path:
    """An archive as `torch.save` writes it for a state dict of contiguous tensors."""
    entries = {name: contiguous(array, str(key)) for key, (name, array) in enumerate(arrays.items())}
    return write_program(path, table(entries), *(array.tobytes() for array in arrays.values()))


def read_all(path: Path) -> dict[str, Array]:
    """What the reader makes of a file: the values of all its tensors."""
    return {source.name: source.read() for source in read_torch_file(path)}


FOUR = np.arange(4, dtype=np.float32)
DATA = FOUR.tobytes()
FLOATS = storage("FloatStorage", "0", 4)
PLAIN = contiguous(FOUR, "0")
