"""Writes what `torch.save` writes for a table of tensors, without torch, one tensor in memory. Knows no models."""

import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

STORAGES = {
    np.dtype(ml_dtypes.bfloat16): "BFloat16Storage",
    np.dtype(np.float32): "FloatStorage",
    np.dtype(np.int64): "LongStorage",
}
PROTOCOL, MARK, TUPLE, STOP = b"\x80\x02", b"(", b"t", b"."
CALL, SET_ITEMS, PERSISTENT, FALSE, NOTHING = b"R", b"u", b"Q", b"\x89", b")"


class Stored(NamedTuple):
    """A tensor to write; `read` gives its values when their turn has come."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], NDArray[Any]]


def write_torch_file(path: Path, tensors: Sequence[Stored], advance: Callable[[int], object]) -> None:
    """Write the archive; `advance` is told the bytes of each tensor."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", _program(tensors))
        for key, tensor in enumerate(tensors):
            values = np.ascontiguousarray(tensor.read())
            with archive.open(f"archive/data/{key}", "w", force_zip64=True) as file:
                file.write(values.reshape(-1).view(np.uint8).data)
            advance(values.nbytes)
        archive.writestr("archive/version", b"3\n")


def _program(tensors: Sequence[Stored]) -> bytes:
    """The pickle: an OrderedDict of tensors, each of which fills a storage of its own."""
    items = b"".join(_text(tensor.name) + _tensor(tensor, str(key)) for key, tensor in enumerate(tensors))
    return PROTOCOL + _empty_ordered() + MARK + items + SET_ITEMS + STOP


def _tensor(tensor: Stored, key: str) -> bytes:
    length = int(np.prod(tensor.shape))
    strides = np.cumprod([1, *tensor.shape[:0:-1]])[::-1].tolist()
    kind = _global("torch", STORAGES[tensor.dtype])
    place = MARK + _text("storage") + kind + _text(key) + _text("cpu") + _number(length) + TUPLE + PERSISTENT
    sizes = b"".join(MARK + b"".join(map(_number, values)) + TUPLE for values in (tensor.shape, strides))
    arguments = MARK + place + _number(0) + sizes + FALSE + _empty_ordered() + TUPLE
    return _global("torch._utils", "_rebuild_tensor_v2") + arguments + CALL


def _empty_ordered() -> bytes:
    return _global("collections", "OrderedDict") + NOTHING + CALL


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)
