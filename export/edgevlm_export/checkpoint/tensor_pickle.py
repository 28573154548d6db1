"""Interprets the pickle inside a torch archive as far as tables of tensors go. Knows no files.

A pickle is a program. Only the few instructions that tables of tensors are made of are interpreted and all others
refused: names of functions are compared with a list, and nothing is imported or called.
"""

import io
import math
import pickletools
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from edgevlm_export.errors import CheckpointError

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
class _Global:
    name: str  # "module name"; compared, never imported


@dataclass(frozen=True)
class Storage:
    dtype: np.dtype[Any]
    key: str
    length: int  # elements


@dataclass(frozen=True)
class View:
    storage: Storage
    offset: int  # elements, as the strides
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def extent(self) -> int:
        """Elements from the first to the last one, both included."""
        if 0 in self.shape:
            return 0
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))


def read_table(program: bytes, path: Path) -> dict[str, View]:
    """The table of tensors that a pickle builds; `path` is only named in errors. Raises CheckpointError."""
    return _Program(path).run(program)


class _Program:
    """Interprets a pickle as far as tables of tensors go; all its values are inert."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack: list[object] = []
        self._below: list[list[object]] = []  # the stacks under the open marks
        self._memo: dict[int, object] = {}

    def run(self, program: bytes) -> dict[str, View]:
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
            if not isinstance(value, View):
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

    def _storage(self, place: Any) -> Storage:
        """From ("storage", type, key, device, number of elements)."""
        match place:
            case ("storage", _Global(name=name), str(key), str(), length) if name in _STORAGES:
                if _sizes((length,)):
                    return Storage(_STORAGES[name], key, length)
        raise self._error("is damaged: it refers to a storage in an unknown way")

    def _call(self, function: object, arguments: Any) -> object:
        match function, arguments:
            case _Global(name="collections OrderedDict"), ():
                return {}
            case _Global(name="torch._utils _rebuild_parameter"), (View() as view, _, _):
                return view
            case _Global(name="torch._utils _rebuild_tensor_v2"), _:
                return self._view(arguments)
            case _Global(name="torch._tensor _rebuild_from_type_v2"), (rebuild, kind, parts, _):
                if rebuild == _Global(_TENSOR) and isinstance(kind, _Global) and kind.name in _TYPES:
                    return self._view(parts)
        raise self._error("builds something other than a plain tensor: refused")

    def _view(self, arguments: Any) -> View:
        """From (storage, offset, shape, strides, gradient wanted, hooks)."""
        match arguments:
            case (Storage() as storage, offset, shape, strides, bool(), _):
                if _sizes((offset,)) and _sizes(shape) and _sizes(strides) and len(shape) == len(strides):
                    if math.prod(max(side, 1) for side in shape) >= _HUGE:
                        raise self._error("has a tensor with sides that no array has")
                    return View(storage, offset, shape, strides)
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
