"""Reads `.safetensors` files: names, types and shapes at once, values when asked. Knows no models."""

import json
import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from edgevlm_engines.regular_file import open_regular

from edgevlm_export.errors import CheckpointError

_MAX_HEADER = 4 << 20  # bytes, some 30,000 tensors; once parsed it takes many times as much memory
_MAX_AXES = 8
_MAX_ELEMENTS = 1 << 48  # of an empty tensor too, if its empty sides were 1: numpy cannot count more bytes
_MAX_NAME = 500  # characters
_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


@dataclass(frozen=True)
class SafeTensor:
    """One tensor of a safetensors file; `start` is its first byte in the file."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    path: Path
    start: int

    def read(self) -> np.ndarray[Any, np.dtype[Any]]:
        """The values, read-only, mapped from the file. Raises CheckpointError if the file was changed."""
        if 0 in self.shape:
            return np.empty(self.shape, self.dtype)
        try:
            mapped = np.memmap(self.path, self.dtype, "r", self.start, self.shape)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.path}: tensor {self.name!r} cannot be read: {error}.") from None
        return np.asarray(np.require(mapped, requirements="A"))


def read_safetensors(path: Path) -> list[SafeTensor]:
    """The tensors of a file, in the order of its data. Raises CheckpointError if it is damaged."""
    header, start, size = _read_header(path)
    tensors, end = [], 0
    for begin, stop, tensor in sorted(_entries(path, header, start), key=lambda entry: entry[:2]):
        if begin != end:
            raise CheckpointError(f"{path}: tensor {tensor.name!r} overlaps another or leaves a hole before it.")
        end = stop
        tensors.append(tensor)
    if start + end != size:
        raise CheckpointError(f"{path} has {size} bytes where its header describes {start + end}.")
    return tensors


def _read_header(path: Path) -> tuple[dict[str, object], int, int]:
    """The header, the file position where data starts, and the file's size in bytes."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            lead = file.read(8)
            length = struct.unpack("<Q", lead)[0] if len(lead) == 8 else size
            if length > size - 8:
                raise CheckpointError(f"{path} is cut off or not a safetensors file: its header does not fit.")
            if length > _MAX_HEADER:
                raise CheckpointError(f"{path} has a header of {length} bytes; at most {_MAX_HEADER} are read.")
            text = file.read(length)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from None
    try:
        header = json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path}: the header is not valid JSON, or names a tensor twice.") from None
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: the header is not a JSON object.")
    header.pop("__metadata__", None)
    return header, 8 + length, size


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError
    return data


def _entries(path: Path, header: dict[str, object], start: int) -> list[tuple[int, int, SafeTensor]]:
    """Each tensor with the half-open range of its bytes, counted from the start of the data."""
    entries = []
    for name, entry in header.items():
        shown = f"{path}: tensor {name[:_MAX_NAME]!r}"
        if not isinstance(entry, dict) or len(name) > _MAX_NAME:
            raise CheckpointError(f"{shown} has a malformed entry in the header.")
        kind, shape, offsets = (
            entry.get("dtype"),
            _sizes(entry.get("shape")),
            _sizes(entry.get("data_offsets")),
        )
        if shape is None or offsets is None or len(offsets) != 2 or not isinstance(kind, str):
            raise CheckpointError(f"{shown} has a malformed entry in the header.")
        dtype = _DTYPES.get(kind)
        if dtype is None:
            raise CheckpointError(f"{shown} has the unsupported type {kind[:20]!r}.")
        if math.prod(max(side, 1) for side in shape) >= _MAX_ELEMENTS:
            raise CheckpointError(f"{shown} has sides that no array has.")
        if offsets[1] - offsets[0] != math.prod(shape) * dtype.itemsize:
            raise CheckpointError(f"{shown} has a shape that its bytes do not fill.")
        entries.append((offsets[0], offsets[1], SafeTensor(name, dtype, shape, path, start + offsets[0])))
    return entries


def _sizes(value: object) -> tuple[int, ...] | None:
    """A tuple of non-negative integers below 2**48, or None for anything else."""
    if not isinstance(value, list) or len(value) > _MAX_AXES:
        return None
    return tuple(value) if all(type(v) is int and 0 <= v < 1 << 48 for v in value) else None
