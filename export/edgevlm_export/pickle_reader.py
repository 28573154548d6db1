"""Reads torch's zip archives (`torch.save` of a flat state dict) without torch. Knows no models.

A pickle is a program. This reader interprets the few instructions that tables of tensors are made of and
refuses all others: names of functions are compared with a list, and nothing is imported or called.
"""

import io
import math
import pickletools
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from edgevlm_export.errors import CheckpointError

_MAX_PICKLE = 16 << 20  # bytes; real ones have some hundred KiB
_MAX_DIRECTORY = 16 << 20  # bytes of the zip's directory, which zipfile reads at once
_MAX_OPCODES = 2_000_000  # a tensor takes about 25; bounds time, stack and memo together
_MAX_NAME = 500  # characters
_MAX_AXES = 8
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
_EMPTY_TABLE = "collections OrderedDict"
_TENSOR = "torch._utils _rebuild_tensor_v2"
_PARAMETER = "torch._utils _rebuild_parameter"
_TYPED = "torch._tensor _rebuild_from_type_v2"
_TYPES = ("torch Tensor", "torch.nn.parameter Parameter")
_GLOBALS = {_EMPTY_TABLE, _TENSOR, _PARAMETER, _TYPED, *_TYPES, *_STORAGES}
_NAMES = {opcode.code: opcode.name for opcode in pickletools.opcodes}
_ARGUMENTS = {  # how an instruction's argument, or that argument's length in bytes, is packed
    **dict.fromkeys(("BINGET", "BININT1", "BINPUT", "LONG1", "PROTO"), "<B"),
    **dict.fromkeys(("BINUNICODE", "LONG_BINGET", "LONG_BINPUT"), "<I"),
    **{"BININT": "<i", "BININT2": "<H"},
}
_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


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
        with _BoundedFile(io.FileIO(path)) as file:
            archive = _Archive(path, file)
            table = _Program(path).run(archive.contents("data.pkl"))
            return [archive.tensor(name, view) for name, view in table.items()]
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from None


@dataclass(frozen=True)
class _Global:
    name: str  # "module name"; compared, never imported


@dataclass(frozen=True)
class _Storage:
    dtype: np.dtype[Any]
    key: str
    length: int  # elements


@dataclass(frozen=True)
class _View:
    storage: _Storage
    offset: int  # elements, as the strides
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def extent(self) -> int:
        """Elements from the first to the last one, both included."""
        if 0 in self.shape:
            return 0
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))


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

    def tensor(self, name: str, view: _View) -> TorchTensor:
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


class _Program:
    """Interprets a pickle as far as tables of tensors go; all its values are inert."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack: list[object] = []
        self._below: list[list[object]] = []  # the stacks under the open marks
        self._memo: dict[int, object] = {}

    def run(self, program: bytes) -> dict[str, _View]:
        """The table of tensors that the program builds."""
        stream = io.BytesIO(program)
        try:
            for _ in range(_MAX_OPCODES):
                code = _NAMES[stream.read(1).decode("latin-1")]
                if code == "STOP":
                    break
                self._step(code, _argument(code, stream))
            else:
                raise self._error(f"needs more than {_MAX_OPCODES} pickle instructions: refused")
            table = self._stack.pop()
        except (ValueError, LookupError, OverflowError, struct.error):
            raise self._error("is damaged: its table of tensors makes no sense") from None
        if not isinstance(table, dict):
            raise self._error("does not hold a table of tensors (a state dict)")
        for name, value in table.items():
            if not isinstance(value, _View):
                raise self._error(f"holds {name!r}, which is not a tensor; only a flat state dict is read")
        return table

    def _error(self, text: str) -> CheckpointError:
        return CheckpointError(f"{self._path} {text}.")

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
            items = self._to_mark() if code == "SETITEMS" else self._pop(2)
            self._set_items(self._stack[-1], items)
        elif code == "GLOBAL":
            stack.append(self._global(argument))
        elif code == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        elif code == "REDUCE":
            stack.append(self._call(*self._pop(2)))
        elif code == "BUILD":
            self._refuse_attributes(stack[-2], stack.pop())
        elif code == "PROTO" and argument != 2:
            raise self._error(f"uses pickle protocol {argument}; save it with torch.save's default, protocol 2")
        elif code != "PROTO":
            raise self._error(f"holds the pickle instruction {code}, which no table of tensors needs: refused")

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
                raise self._error("has a tensor name that is not text, too long, or there twice")
            table[name] = value

    def _global(self, name: str) -> _Global:
        if name not in _GLOBALS:
            shown = name.replace(" ", ".", 1)[:100]
            raise self._error(f"refers to {shown!r}, which no table of tensors needs: refused")
        return _Global(name)

    def _storage(self, place: Any) -> _Storage:
        """From ("storage", type, key, device, number of elements)."""
        match place:
            case ("storage", _Global(name=name), str(key), str(), length) if name in _STORAGES:
                if _sizes((length,)):
                    return _Storage(_STORAGES[name], key, length)
        raise self._error("is damaged: it refers to a storage in an unknown way")

    def _call(self, function: object, arguments: Any) -> object:
        match function, arguments:
            case _Global(name="collections OrderedDict"), ():
                return {}
            case _Global(name="torch._utils _rebuild_parameter"), (_View() as view, _, _):
                return view
            case _Global(name="torch._utils _rebuild_tensor_v2"), _:
                return self._view(arguments)
            case _Global(name="torch._tensor _rebuild_from_type_v2"), (rebuild, kind, parts, _):
                if rebuild == _Global(_TENSOR) and isinstance(kind, _Global) and kind.name in _TYPES:
                    return self._view(parts)
        raise self._error("builds something other than a plain tensor: refused")

    def _view(self, arguments: Any) -> _View:
        """From (storage, offset, shape, strides, gradient wanted, hooks)."""
        match arguments:
            case (_Storage() as storage, offset, shape, strides, bool(), _):
                if _sizes((offset,)) and _sizes(shape) and _sizes(strides) and len(shape) == len(strides):
                    return _View(storage, offset, shape, strides)
        raise self._error("is damaged: it describes a tensor in an unknown way")

    def _refuse_attributes(self, target: object, state: object) -> None:
        # torch hangs module versions on a state dict as `_metadata`; they say nothing about the tensors
        if not isinstance(target, dict) or not isinstance(state, dict) or state.keys() != {"_metadata"}:
            raise self._error("sets attributes of an object: refused")


def _argument(code: str, stream: io.BytesIO) -> Any:
    """What follows an instruction; None for one that is refused anyway, so that its argument is not decoded."""
    if code == "GLOBAL":
        lines = stream.readline() + stream.readline()
        return lines.decode("ascii").removesuffix("\n").replace("\n", " ", 1)
    if code not in _ARGUMENTS:
        return None
    form = _ARGUMENTS[code]
    (value,) = struct.unpack(form, stream.read(struct.calcsize(form)))
    if code == "BINUNICODE":
        return stream.read(value).decode("utf-8", "surrogatepass")
    return int.from_bytes(stream.read(value), "little", signed=True) if code == "LONG1" else value


def _sizes(value: object) -> bool:
    """Whether this is a short tuple of non-negative integers."""
    if not isinstance(value, tuple) or len(value) > _MAX_AXES:
        return False
    return all(type(number) is int and 0 <= number < _HUGE for number in value)
