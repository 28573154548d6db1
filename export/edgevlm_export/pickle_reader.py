"""Reads torch's zip archives (`torch.save` of a flat state dict) without torch. Knows no models.

A pickle is a program. This reader interprets the few instructions that describe tensors and refuses all others:
names of functions are compared with a list, and nothing is imported or called.
"""

import io
import math
import pickletools
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from .errors import CheckpointError

_MAX_PICKLE = 16 << 20  # bytes; real ones have some hundred KiB
_MAX_DIRECTORY = 16 << 20  # bytes of the zip's directory, which zipfile reads at once
_MAX_OPCODES = 2_000_000  # about 25 a tensor; bounds time, stack and memo together
_MAX_AXES = 8
_MAX_NAME = 500
_HUGE = 1 << 48  # elements
_STORAGES: dict[str, np.dtype[Any]] = {
    "torch BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "torch HalfStorage": np.dtype("<f2"),
    "torch FloatStorage": np.dtype("<f4"),
    "torch DoubleStorage": np.dtype("<f8"),
    "torch LongStorage": np.dtype("<i8"),
    "torch IntStorage": np.dtype("<i4"),
    "torch ShortStorage": np.dtype("<i2"),
    "torch CharStorage": np.dtype("i1"),
    "torch ByteStorage": np.dtype("u1"),
    "torch BoolStorage": np.dtype("?"),
}
_REBUILD = "torch._utils _rebuild_tensor_v2"
_TYPES = ("torch Tensor", "torch.nn.parameter Parameter")
_GLOBALS = {
    "collections OrderedDict",
    _REBUILD,
    "torch._utils _rebuild_parameter",
    "torch._tensor _rebuild_from_type_v2",
    *_TYPES,
    *_STORAGES,
}
_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


@dataclass(frozen=True)
class TorchTensor:
    """One tensor of a torch archive; `start` is its first byte in the file, `strides` and `extent` count elements."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    path: Path
    start: int
    extent: int  # elements from the first to the last one, both included

    def read(self) -> np.ndarray[Any, np.dtype[Any]]:
        """The values, read-only and mapped from the file. Raises CheckpointError if the file has shrunk or gone."""
        if not self.extent:
            return np.empty(self.shape, self.dtype)
        try:
            mapped = np.memmap(self.path, self.dtype, "r", self.start, (self.extent,))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.path}: tensor {self.name!r} cannot be read: {error}.") from None
        flat = np.require(mapped, requirements="A").view(np.ndarray)
        steps = [stride * self.dtype.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(flat, self.shape, steps, writeable=False)


def read_torch_file(path: Path) -> list[TorchTensor]:
    """The tensors of a file that `torch.save(state_dict, path)` wrote, in its order.

    Raises CheckpointError if the file is damaged, of the format before torch 1.6, or holds anything but tensors.
    """
    try:
        with _Archive(path) as archive:
            table = _Program(path).run(archive.contents("data.pkl", _MAX_PICKLE))
            if archive.contents("byteorder", 16, absent=b"little") != b"little":
                raise CheckpointError(
                    f"{path} holds big-endian tensors; only little-endian ones are supported."
                )
            return [archive.tensor(name, view) for name, view in table]
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from None


# ---- the zip


class _BoundedFile(io.BufferedReader):
    """A file that refuses huge reads: zipfile would take a directory of any size into memory."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_DIRECTORY:
            raise zipfile.BadZipFile
        return super().read(size)


class _Archive:
    """The members of a torch archive by their names below its only folder, found but not read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _BoundedFile(io.FileIO(path))

    def __enter__(self) -> "_Archive":
        try:
            self._refuse_other_formats()
            self._places = self._find_members()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _refuse_other_formats(self) -> None:
        start = self._file.read(4)
        if start[:1] == b"\x80":
            raise CheckpointError(
                f"{self._path} is a pickle from before torch 1.6; load it with a current torch "
                "(weights_only=True) and save it again."
            )
        if start != b"PK\x03\x04":
            raise CheckpointError(f"{self._path} is not a file that torch.save wrote.")

    def _find_members(self) -> dict[str, tuple[int, int]]:
        """Name -> (first byte, size in bytes). Torch writes all members uncompressed in one folder."""
        try:
            infos = zipfile.ZipFile(self._file).infolist()
            places = {info.orig_filename: self._place(info) for info in infos}
        except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, OverflowError, EOFError):
            raise CheckpointError(
                f"{self._path} is cut off or damaged: its zip directory is not sound."
            ) from None
        folders = {name.partition("/")[0] for name in places}
        if len(places) != len(infos) or len(folders) != 1:
            raise CheckpointError(
                f"{self._path} is not a file that torch.save wrote: its members do not fit."
            )
        return {name.partition("/")[2]: place for name, place in places.items()}

    def _place(self, info: zipfile.ZipInfo) -> tuple[int, int]:
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise CheckpointError(
                f"{self._path} has compressed or encrypted members, which torch never writes."
            )
        self._file.seek(info.header_offset)
        header = self._file.read(zipfile.sizeFileHeader)
        sign, name_length, extra_length = struct.unpack("<4s22x2H", header)
        name = self._file.read(name_length).decode("utf-8" if info.flag_bits & 0x800 else "cp437")
        start = info.header_offset + len(header) + name_length + extra_length
        end = start + info.file_size
        if sign != b"PK\x03\x04" or name != info.orig_filename or info.compress_size != info.file_size:
            raise zipfile.BadZipFile
        if end > self._file.seek(0, io.SEEK_END):
            raise zipfile.BadZipFile
        return start, info.file_size

    def contents(self, member: str, limit: int, absent: bytes | None = None) -> bytes:
        """All bytes of a member of at most `limit` bytes."""
        if member not in self._places:
            if absent is None:
                raise CheckpointError(
                    f"{self._path} is not a file that torch.save wrote: it has no {member}."
                )
            return absent
        start, size = self._places[member]
        if size > limit:
            raise CheckpointError(f"{self._path}: {member} has {size} bytes; more than {limit} are refused.")
        self._file.seek(start)
        return self._file.read(size)

    def tensor(self, name: str, view: "_View") -> TorchTensor:
        """A named tensor at its place in the file, once it is sure to lie within its storage and the file."""
        storage = view.storage
        start, size = self._places.get(f"data/{storage.key}", (0, -1))
        if size < storage.count * storage.dtype.itemsize:
            have = f"has {size} bytes, too few" if size >= 0 else "is missing"
            raise CheckpointError(f"{self._path}: the storage of tensor {name!r} {have}.")
        extent = (
            0
            if 0 in view.shape
            else 1 + sum((n - 1) * s for n, s in zip(view.shape, view.strides, strict=True))
        )
        if view.offset + extent > storage.count:
            raise CheckpointError(f"{self._path}: tensor {name!r} reaches beyond its storage.")
        if math.prod(view.shape) > extent:  # a view of few values that pretends to be many
            raise CheckpointError(f"{self._path}: tensor {name!r} uses stored values more than once.")
        first = start + view.offset * storage.dtype.itemsize
        return TorchTensor(name, storage.dtype, view.shape, view.strides, self._path, first, extent)


# ---- the pickle


class _Global(NamedTuple):
    name: str  # "module name"; compared, never imported


class _Storage(NamedTuple):
    dtype: np.dtype[Any]
    key: str
    count: int  # elements


class _View(NamedTuple):
    storage: _Storage
    offset: int  # elements, as the strides
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Program:
    """Interprets a pickle as far as tables of tensors go; all its values are inert."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack: list[object] = []
        self._below: list[list[object]] = []  # the stacks under the open marks
        self._memo: dict[int, object] = {}

    def run(self, program: bytes) -> list[tuple[str, _View]]:
        """The table of tensors that the program builds."""
        try:
            for count, (code, argument, _) in enumerate(pickletools.genops(program)):
                if count >= _MAX_OPCODES:
                    raise CheckpointError(f"{self._path} needs more than {_MAX_OPCODES} pickle instructions.")
                self._step(code.name, argument)
            table = self._stack.pop()
        except (ValueError, LookupError, OverflowError, struct.error):
            raise CheckpointError(f"{self._path} is damaged: its table of tensors makes no sense.") from None
        if not isinstance(table, dict):
            raise CheckpointError(f"{self._path} does not hold a table of tensors (a state dict).")
        for name, value in table.items():
            if not isinstance(value, _View):
                raise CheckpointError(
                    f"{self._path}: entry {name!r} is not a tensor; only a flat table is read."
                )
        return list(table.items())

    def _step(self, code: str, argument: Any) -> None:
        stack = self._stack
        if code in ("BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1"):
            stack.append(argument)
        elif code in _CONSTANTS:
            stack.append(_CONSTANTS[code])
        elif code in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = stack[-1]
        elif code in ("BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif code == "EMPTY_DICT":
            stack.append({})
        elif code == "MARK":
            self._below.append(stack)
            self._stack = []
        elif code in ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"):
            items = self._to_mark() if code == "TUPLE" else self._pop(int(code[-1]))
            self._stack.append(tuple(items))
        elif code in ("SETITEM", "SETITEMS"):
            items = self._pop(2) if code == "SETITEM" else self._to_mark()
            self._set_items(self._stack[-1], items)
        elif code == "GLOBAL":
            stack.append(self._global(argument))
        elif code == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        elif code == "REDUCE":
            stack.append(self._call(*self._pop(2)))
        elif code == "BUILD":
            self._build(*self._pop(2))
        elif code not in ("PROTO", "STOP"):
            raise CheckpointError(f"{self._path} holds the pickle instruction {code}, which is refused.")

    def _pop(self, count: int) -> list[object]:
        if len(self._stack) < count:
            raise IndexError
        items = self._stack[-count:]
        del self._stack[-count:]
        return items

    def _to_mark(self) -> list[object]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _set_items(self, table: object, items: list[object]) -> None:
        if not isinstance(table, dict) or len(items) % 2:
            raise ValueError
        for name, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(name, str) or len(name) > _MAX_NAME or name in table:
                raise CheckpointError(f"{self._path} has a name that is too long, not text, or there twice.")
            table[name] = value

    def _global(self, name: str) -> _Global:
        if name not in _GLOBALS:
            shown = name.replace(" ", ".")[:100]
            raise CheckpointError(
                f"{self._path} refers to {shown!r}, which a table of tensors does not need: refused."
            )
        return _Global(name)

    def _storage(self, place: object) -> _Storage:
        """A reference ("storage", type, key, device, number of elements)."""
        match place:
            case ("storage", _Global(name), str(key), str(), int(count)) if (
                name in _STORAGES and 0 <= count < _HUGE
            ):
                return _Storage(_STORAGES[name], key, count)
        raise CheckpointError(f"{self._path} has a malformed reference to a storage.")

    def _call(self, function: object, arguments: object) -> object:
        match function, arguments:
            case _Global(name="collections OrderedDict"), ():
                return {}
            case _Global(name="torch._utils _rebuild_tensor_v2"), (
                _Storage() as storage,
                offset,
                shape,
                strides,
                _,
                _,
            ):
                if _sizes((offset,)) and _sizes(shape) and _sizes(strides) and len(shape) == len(strides):
                    return _View(storage, offset, shape, strides)
            case _Global(name="torch._utils _rebuild_parameter"), (_View() as view, _, _):
                return view
            case _Global(name="torch._tensor _rebuild_from_type_v2"), (
                inner,
                _Global(name),
                tuple(inner_arguments),
                _,
            ):
                if inner == _REBUILD and name in _TYPES:
                    return self._call(inner, inner_arguments)
        raise CheckpointError(f"{self._path} builds something other than a plain tensor: refused.")

    def _build(self, target: object, state: object) -> None:
        """Torch hangs version numbers on a state dict as `_metadata`; they say nothing about the tensors."""
        if not isinstance(target, dict) or not isinstance(state, dict) or state.keys() != {"_metadata"}:
            raise CheckpointError(f"{self._path} sets attributes of an object: refused.")
        self._stack.append(target)


def _sizes(value: object) -> bool:
    if not isinstance(value, tuple) or len(value) > _MAX_AXES:
        return False
    return all(type(v) is int and 0 <= v < _HUGE for v in value)
