"""Reads torch's zip archives (`torch.save` of a flat state dict) without torch. Knows no models.

What the archive's pickle says is left to `tensor_pickle`; here is where the bytes lie, and that they are all there.
"""

import io
import math
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from edgevlm_engines.regular_file import open_regular

from edgevlm_export.checkpoint.tensor_pickle import View, read_table
from edgevlm_export.errors import CheckpointError

_MAX_PICKLE = 16 << 20  # bytes; real ones have some hundred KiB
_MAX_DIRECTORY = 16 << 20  # bytes of the zip's directory, which zipfile reads at once


@dataclass(frozen=True)
class TorchTensor:
    """One tensor of a torch archive; `strides` and `extent` count elements."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    path: Path
    start: int  # its first byte in the file
    extent: int  # from the first element to the last one, both included

    def read(self) -> np.ndarray[Any, np.dtype[Any]]:
        """The values, read-only, mapped from the file. Raises CheckpointError if the file was changed."""
        if not self.extent:
            return np.empty(self.shape, self.dtype)
        try:
            mapped = np.memmap(self.path, self.dtype, "r", self.start, (self.extent,))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.path}: tensor {self.name!r} cannot be read: {error}.") from None
        flat = np.require(mapped, requirements="A")  # a hostile archive may not be aligned
        steps = [stride * self.dtype.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(flat, self.shape, steps, writeable=False)


def read_torch_file(path: Path) -> list[TorchTensor]:
    """The tensors of a file that `torch.save(state_dict, path)` wrote, in its order.

    Raises CheckpointError if the file is damaged, older than torch 1.6, or holds anything but tensors.
    """
    try:
        with _BoundedFile(open_regular(path)) as file:
            archive = _Archive(path, file)
            table = read_table(archive.contents("data.pkl"), path)
            return [archive.tensor(name, view) for name, view in table.items()]
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from None


class _BoundedFile(io.BufferedReader):
    """A file that refuses huge reads: zipfile would take a directory of any size into memory."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_DIRECTORY:
            raise zipfile.BadZipFile
        return super().read(size)


class _Archive:
    """Where the members of a torch archive lie, by their names below its only folder."""

    def __init__(self, path: Path, file: _BoundedFile) -> None:
        self._path = path
        self._file = file
        self._refuse_other_formats()
        try:
            self._end = file.seek(0, io.SEEK_END)
            infos = zipfile.ZipFile(file).infolist()
            places = {info.orig_filename: self._place(info) for info in infos}
        except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, OverflowError, EOFError):
            raise self._error("is cut off or damaged: its zip directory is not sound") from None
        if len(places) != len(infos) or len({name.partition("/")[0] for name in places}) != 1:
            raise self._error("is not a file that torch.save wrote: its members do not fit")
        self._places = {name.partition("/")[2]: place for name, place in places.items()}
        if "byteorder" in self._places and self.contents("byteorder") != b"little":
            raise self._error("holds big-endian tensors; only little-endian ones are supported")

    def _error(self, text: str) -> CheckpointError:
        return CheckpointError(f"{self._path} {text}.")

    def _refuse_other_formats(self) -> None:
        start = self._file.read(4)
        if start[:1] == b"\x80":
            advice = "load it with a current torch (weights_only=True) and save it again"
            raise self._error(f"is a pickle from before torch 1.6; {advice}")
        if start != b"PK\x03\x04":
            raise self._error("is not a file that torch.save wrote")

    def _place(self, info: zipfile.ZipInfo) -> tuple[int, int]:
        """The first byte of a member and its size in bytes; torch compresses nothing."""
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise self._error("has compressed or encrypted members, which torch never writes")
        self._file.seek(info.header_offset)
        sign, name_length, extra_length = struct.unpack("<4s22x2H", self._file.read(30))
        name = self._file.read(name_length).decode("utf-8" if info.flag_bits & 0x800 else "cp437")
        start = info.header_offset + 30 + name_length + extra_length
        if sign != b"PK\x03\x04" or name != info.orig_filename or start + info.file_size > self._end:
            raise zipfile.BadZipFile
        return start, info.file_size

    def contents(self, member: str) -> bytes:
        """All bytes of a small member."""
        start, size = self._places.get(member, (0, -1))
        if not 0 <= size <= _MAX_PICKLE:
            raise self._error(f"has no {member}" if size < 0 else f"has a {member} of {size} bytes: too large")
        self._file.seek(start)
        return self._file.read(size)

    def tensor(self, name: str, view: View) -> TorchTensor:
        """A tensor at its place in the file, once it is sure to lie within its storage and the file."""
        storage, extent = view.storage, view.extent()
        start, size = self._places.get(f"data/{storage.key}", (0, -1))
        if size < storage.length * storage.dtype.itemsize:
            fault = "is missing" if size < 0 else f"has only {size} bytes"
            raise self._error(f"is damaged: the storage of tensor {name!r} {fault}")
        if view.offset + extent > storage.length:
            raise self._error(f"is damaged: tensor {name!r} reaches beyond its storage")
        if math.prod(view.shape) > extent:  # a few values that pretend to be very many
            raise self._error(f"is refused: tensor {name!r} uses a stored value more than once")
        first = start + view.offset * storage.dtype.itemsize
        return TorchTensor(name, storage.dtype, view.shape, view.strides, self._path, first, extent)
