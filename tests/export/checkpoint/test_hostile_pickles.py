"""Hostile and damaged torch archives: each is refused in one sentence that names the file, and nothing is run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgevlm_export.checkpoint import pickle_reader, tensor_pickle
from edgevlm_export.checkpoint.pickle_reader import read_torch_file
from edgevlm_export.errors import CheckpointError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.checkpoint.torch_files import (
    BUILD,
    DATA,
    EMPTY_DICT,
    EMPTY_TUPLE,
    FALSE,
    FLOATS,
    FOUR,
    MARK,
    PLAIN,
    PROTOCOL,
    REDUCE,
    SETITEMS,
    STOP,
    TUPLE,
    Array,
    named,
    number,
    read_all,
    sizes,
    storage,
    table,
    tensor,
    tensor_arguments,
    text,
    write_members,
    write_program,
    write_tensors,
)


def call(name: str, *arguments: bytes) -> bytes:
    return named(name) + MARK + b"".join(arguments) + TUPLE + REDUCE


def rebuilt(stored: bytes, offset: bytes, shape: bytes, strides: bytes) -> bytes:
    return call("torch._utils _rebuild_tensor_v2", stored, offset, shape, strides, FALSE, EMPTY_DICT)


def persistent(*parts: bytes) -> bytes:
    return MARK + b"".join(parts) + TUPLE + b"Q"


def typed(rebuild: bytes, kind: bytes) -> bytes:
    arguments = tensor_arguments(FLOATS, 0, (4,), (1,))
    return table({"a": call("torch._tensor _rebuild_from_type_v2", rebuild, kind, arguments, EMPTY_DICT)})


OFF, SHAPE, STRIDES = number(0), sizes((4,)), sizes((1,))
FLOAT = named("torch FloatStorage")
HOSTILE = {
    "os.system": (table({"a": call("os system", text("touch ran"))}), "'os.system'"),
    "posix.system": (table({"a": call("posix system", text("touch ran"))}), "'posix.system'"),
    "eval": (table({"a": call("builtins eval", text("open('ran', 'w')"))}), "'builtins.eval'"),
    "torch function": (table({"a": call("torch load", text("ran"))}), "'torch.load'"),
    "escapes": (table({"a": named("torch._utils \\x5frebuild_tensor_v2")}), "refers to"),
    "unterminated name": (PROTOCOL + b"ctorch\nTensor", "makes no sense"),
    "long decimal": (PROTOCOL + b"L" + b"9" * 1_000_000 + b"L\n" + STOP, "LONG"),
    "cut number": (PROTOCOL + b"J\x00", "makes no sense"),
    "dotted name": (table({"a": named("torch._utils os.system")}), "torch._utils.os.system"),
    "INST": (PROTOCOL + MARK + text("touch ran") + b"ios\nsystem\n" + STOP, "INST"),
    "OBJ": (PROTOCOL + MARK + named("collections OrderedDict") + b"o" + STOP, "OBJ"),
    "NEWOBJ": (PROTOCOL + named("torch Tensor") + EMPTY_TUPLE + b"\x81" + STOP, "NEWOBJ"),
    "extension": (PROTOCOL + b"\x82\x01" + STOP, "EXT1"),
    "list": (PROTOCOL + b"]" + STOP, "EMPTY_LIST"),
    "bytes": (PROTOCOL + b"C\x01a" + STOP, "SHORT_BINBYTES"),
    "float": (PROTOCOL + b"G" + bytes(8) + STOP, "BINFLOAT"),
    "protocol 4": (b"\x80\x04" + EMPTY_DICT + STOP, "protocol 4"),
    "BUILD on a tensor": (table({"a": PLAIN + EMPTY_DICT + BUILD}), "sets attributes"),
    "BUILD on a storage": (table({"a": FLOATS + EMPTY_DICT + BUILD}), "sets attributes"),
    "BUILD on a global": (PROTOCOL + named("torch Tensor") + EMPTY_DICT + BUILD + STOP, "sets attributes"),
    "BUILD of a class": (PROTOCOL + EMPTY_DICT * 2 + text("__class__") + FALSE + b"s" + BUILD + STOP, "sets attr"),
    "call of a class": (table({"a": call("torch Tensor", FLOATS)}), "other than a plain tensor"),
    "call of a storage": (table({"a": call("torch FloatStorage", number(4))}), "other than a plain tensor"),
    "call of text": (PROTOCOL + text("os.system") + EMPTY_TUPLE + REDUCE + STOP, "other than a plain tensor"),
    "filled table": (table({"a": call("collections OrderedDict", EMPTY_DICT)}), "other than a plain tensor"),
    "typed by another": (
        typed(named("torch._utils _rebuild_parameter"), named("torch Tensor")),
        "other than a plain",
    ),
    "typed as another": (typed(named("torch._utils _rebuild_tensor_v2"), FLOAT), "other than a plain tensor"),
    "persistent number": (PROTOCOL + number(1) + b"Q" + STOP, "unknown way"),
    "persistent text": (PROTOCOL + b"Pwhatever\n" + STOP, "PERSID"),
    "persistent short": (PROTOCOL + persistent(text("storage"), FLOAT) + STOP, "unknown way"),
    "persistent module": (
        PROTOCOL + persistent(text("module"), FLOAT, text("0"), text("cpu"), number(4)) + STOP,
        "unknown way",
    ),
    "persistent class": (
        PROTOCOL + persistent(text("storage"), named("torch Tensor"), text("0"), text("cpu"), number(4)) + STOP,
        "unknown way",
    ),
    "negative storage": (table({"a": tensor(storage("FloatStorage", "0", -4), 0, (4,), (1,))}), "unknown way"),
    "infinite storage": (table({"a": tensor(storage("FloatStorage", "0", 1 << 62), 0, (4,), (1,))}), "unknown way"),
    "negative offset": (table({"a": tensor(FLOATS, -1, (4,), (1,))}), "unknown way"),
    "negative size": (table({"a": tensor(FLOATS, 0, (-4,), (1,))}), "unknown way"),
    "negative stride": (table({"a": tensor(FLOATS, 3, (4,), (-1,))}), "unknown way"),
    "boolean size": (table({"a": rebuilt(FLOATS, OFF, MARK + b"\x88" + TUPLE, STRIDES)}), "unknown way"),
    "size of text": (table({"a": rebuilt(FLOATS, OFF, text("4"), STRIDES)}), "unknown way"),
    "fewer strides": (table({"a": tensor(FLOATS, 0, (2, 2), (1,))}), "unknown way"),
    "many axes": (table({"a": tensor(FLOATS, 0, (1,) * 40, (1,) * 40)}), "unknown way"),
    "not a storage": (table({"a": tensor(text("0"), 0, (4,), (1,))}), "unknown way"),
    "beyond the storage": (table({"a": tensor(FLOATS, 1, (4,), (1,))}), "reaches beyond"),
    "far beyond": (table({"a": tensor(FLOATS, 1 << 40, (), ())}), "reaches beyond"),
    "stride beyond": (table({"a": tensor(FLOATS, 0, (4,), (2,))}), "reaches beyond"),
    "terabytes from one value": (table({"a": tensor(FLOATS, 0, (1 << 20, 1 << 20), (0, 0))}), "more than once"),
    "a petabyte from one value": (table({"a": tensor(FLOATS, 0, (1 << 24, 1 << 24), (0, 0))}), "no array has"),
    "empty and huge": (table({"a": tensor(FLOATS, 0, (0, 1 << 40, 1 << 40), (0, 0, 0))}), "no array has"),
    "storage too short": (table({"a": tensor(storage("FloatStorage", "0", 5), 0, (5,), (1,))}), "has only 16 bytes"),
    "storage missing": (table({"a": tensor(storage("FloatStorage", "9", 4), 0, (4,), (1,))}), "is missing"),
    "storage outside": (table({"a": tensor(storage("FloatStorage", "../version", 0), 0, (), ())}), "is missing"),
    "nested": (table({"state_dict": EMPTY_DICT}), "'state_dict'"),
    "number": (table({"epoch": number(3)}), "'epoch'"),
    "bare tensor": (PROTOCOL + PLAIN + STOP, "does not hold a table"),
    "itself": (PROTOCOL + EMPTY_DICT + b"q\x00" + MARK + text("a") + b"h\x00" + SETITEMS + STOP, "'a'"),
    "name twice": (PROTOCOL + EMPTY_DICT + (text("a") + PLAIN + b"s") * 2 + STOP, "there twice"),
    "name of number": (PROTOCOL + EMPTY_DICT + number(1) + PLAIN + b"s" + STOP, "not text"),
    "endless name": (table({"a" * 100_000: PLAIN}), "too long"),
    "odd items": (PROTOCOL + EMPTY_DICT + MARK + text("a") + SETITEMS + STOP, "makes no sense"),
    "items of text": (PROTOCOL + text("a") + MARK + SETITEMS + STOP, "makes no sense"),
    "nothing to pop": (PROTOCOL + b"\x87" + STOP, "makes no sense"),
    "no mark": (PROTOCOL + TUPLE + STOP, "makes no sense"),
    "unknown memo": (PROTOCOL + b"h\x05" + STOP, "makes no sense"),
    "empty stack": (PROTOCOL + STOP, "makes no sense"),
    "empty program": (b"", "makes no sense"),
    "no stop": (PROTOCOL + EMPTY_DICT, "makes no sense"),
    "unknown instruction": (PROTOCOL + b"\xff" + STOP, "makes no sense"),
    "cut text": (PROTOCOL + b"X\xff\xff\xff\x7fabc" + STOP, "makes no sense"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_pickles_are_refused_and_not_run(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, reason = HOSTILE[case]
    path = write_program(tmp_path / "a.bin", program, DATA)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        read_all(path)
    assert reason in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < len(str(path)) + 200
    assert list(tmp_path.iterdir()) == [path], "something ran"


BOUNDS: dict[str, tuple[str, int, Callable[[Path], Path], str]] = {
    "instructions": (
        "_MAX_OPCODES",
        1000,
        lambda p: write_program(p, PROTOCOL + EMPTY_DICT * 1000 + STOP),
        "more than",
    ),
    "marks": ("_MAX_OPCODES", 1000, lambda p: write_program(p, PROTOCOL + MARK * 1000 + STOP), "more than"),
    "pickle": ("_MAX_PICKLE", 1000, lambda p: write_program(p, PROTOCOL + bytes(1000)), "too large"),
    "directory": (
        "_MAX_DIRECTORY",
        70_000,  # zipfile looks for the directory in the last 64 KiB
        lambda p: write_members(p, {f"model/data/{key}": b"" for key in range(2000)}),
        "directory",
    ),
}


@pytest.mark.parametrize("bound", BOUNDS)
def test_work_and_memory_are_bounded(tmp_path: Path, bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, value, write, reason = BOUNDS[bound]
    module = pickle_reader if hasattr(pickle_reader, name) else tensor_pickle
    assert getattr(module, name) > value
    monkeypatch.setattr(module, name, value)
    with pytest.raises(CheckpointError, match=reason):
        read_torch_file(write(tmp_path / "a.bin"))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch") / "fuzzed.bin"


@pytest.fixture(scope="module")
def small_file(scratch: Path) -> bytes:
    arrays: dict[str, Array] = {"model.norm.weight": FOUR, "b": np.ones((2, 2), np.float16), "c": np.arange(3)}
    return write_tensors(scratch, arrays).read_bytes()


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(flips=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), min_size=1, max_size=4))
def test_damaged_files_load_or_are_refused(scratch: Path, small_file: bytes, flips: list[tuple[int, int]]) -> None:
    damaged = bytearray(small_file)
    for place, change in flips:
        damaged[place % len(damaged)] ^= change
    scratch.write_bytes(damaged)
    try:
        read_all(scratch)
    except CheckpointError as error:
        assert str(error).startswith(str(scratch))


CONSTANTS = (EMPTY_DICT, EMPTY_TUPLE, FALSE, FLOATS, FLOAT, PLAIN, SHAPE, text("a"), number(2))
GLOBALS = map(named, ("torch._utils _rebuild_tensor_v2", "torch._tensor _rebuild_from_type_v2", "torch Tensor"))
INSTRUCTIONS = (MARK, TUPLE, REDUCE, BUILD, SETITEMS, STOP, b"s", b"Q", b"\x85", b"\x86", b"q\x00", b"h\x00")
PIECES = st.sampled_from([*CONSTANTS, *GLOBALS, *INSTRUCTIONS])


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(program=st.one_of(st.binary(max_size=40), st.lists(PIECES, max_size=20).map(b"".join)))
def test_arbitrary_pickles_load_or_are_refused(scratch: Path, program: bytes) -> None:
    try:
        read_all(write_program(scratch, PROTOCOL + program + STOP, DATA))
    except CheckpointError as error:
        assert str(error).startswith(str(scratch))
