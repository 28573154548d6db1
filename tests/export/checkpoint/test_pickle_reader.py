"""The torch archive reader: every form that torch writes, read lazily, and files that torch does not write."""

import warnings
import zipfile
from pathlib import Path
from unittest.mock import Mock

import ml_dtypes
import numpy as np
import pytest
from edgevlm_export.checkpoint.pickle_reader import read_torch_file
from edgevlm_export.errors import CheckpointError

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
    STORAGES,
    TUPLE,
    named,
    number,
    read_all,
    storage,
    table,
    tensor,
    tensor_arguments,
    text,
    write_members,
    write_program,
    write_tensors,
)


@pytest.mark.parametrize("kind", STORAGES)
def test_every_type_is_read(tmp_path: Path, kind: str) -> None:
    dtype = np.dtype(ml_dtypes.bfloat16) if kind == "bfloat16" else np.dtype(kind)
    arrays = {
        "matrix": np.arange(6).reshape(2, 3).astype(dtype),
        "four.axes": np.arange(16).reshape(2, 1, 2, 4).astype(dtype),
        "scalar": np.ones((), dtype),
        "empty": np.ones((0, 3), dtype),
    }
    sources = read_torch_file(write_tensors(tmp_path / "a.bin", arrays))
    assert [source.name for source in sources] == list(arrays)
    for source in sources:
        values, wanted = source.read(), arrays[source.name]
        assert (source.dtype, source.shape) == (values.dtype, values.shape) == (wanted.dtype, wanted.shape)
        assert values.tobytes() == wanted.tobytes()
        assert values.flags.aligned


def test_values_cannot_be_changed(tmp_path: Path) -> None:
    (source,) = read_torch_file(write_tensors(tmp_path / "a.bin", {"a": FOUR}))
    with pytest.raises(ValueError, match="read-only"):
        source.read()[0] = 1


def test_views_of_a_shared_storage(tmp_path: Path) -> None:
    base = np.arange(24, dtype=np.int64)
    stored = storage("LongStorage", "0", 24)
    program = table(
        {
            "transposed": tensor(stored, 0, (6, 4), (1, 6)),
            "slice": tensor(stored, 5, (4,), (1,)),
            "every third": tensor(stored, 0, (8,), (3,)),
            "last": tensor(stored, 23, (), ()),
        }
    )
    values = read_all(write_program(tmp_path / "a.bin", program, base.tobytes()))
    np.testing.assert_array_equal(values["transposed"], base.reshape(4, 6).T)
    np.testing.assert_array_equal(values["slice"], base[5:9])
    np.testing.assert_array_equal(values["every third"], base[::3])
    assert values["last"] == 23


def test_other_forms_that_torch_writes(tmp_path: Path) -> None:
    hooks = named("collections OrderedDict") + EMPTY_TUPLE + REDUCE
    parameter = named("torch._utils _rebuild_parameter") + MARK + PLAIN + FALSE + hooks + TUPLE + REDUCE
    arguments = tensor_arguments(FLOATS, 0, (4,), (1,))
    rebuild, kind = named("torch._utils _rebuild_tensor_v2"), named("torch Tensor")
    state = EMPTY_DICT + text("note") + number(1) + b"s"
    typed = named("torch._tensor _rebuild_from_type_v2") + MARK + rebuild + kind + arguments + state + TUPLE + REDUCE
    items = text("parameter") + parameter + text("typed") + typed + text("plain") + PLAIN
    metadata = EMPTY_DICT + text("_metadata") + hooks + b"s"
    program = PROTOCOL + hooks + MARK + items + SETITEMS + metadata + BUILD + STOP
    values = read_all(write_program(tmp_path / "a.bin", program, DATA))
    assert list(values) == ["parameter", "typed", "plain"]
    assert all((value == FOUR).all() for value in values.values())


def test_memo_and_long_integers(tmp_path: Path) -> None:
    remembered = PLAIN + b"q\x07" + text("again") + b"h\x07"
    program = PROTOCOL + EMPTY_DICT + MARK + text("first") + remembered + SETITEMS + STOP
    assert list(read_all(write_program(tmp_path / "a.bin", program, DATA))) == ["first", "again"]
    huge = table({"a": tensor(storage("ByteStorage", "0", 1 << 40), 0, (1 << 40,), (1,))})
    with pytest.raises(CheckpointError, match="has only 16 bytes"):
        read_torch_file(write_program(tmp_path / "b.bin", huge, DATA))


GOOD = {"model/data.pkl": table({"a": PLAIN}), "model/byteorder": b"little", "model/data/0": DATA}
ARCHIVES: dict[str, tuple[dict[str, bytes], str]] = {
    "big-endian": (GOOD | {"model/byteorder": b"big"}, "big-endian"),
    "no pickle": ({"model/data/0": DATA}, "has no data.pkl"),
    "two folders": (GOOD | {"other/data.pkl": b""}, "members do not fit"),
    "no folder": ({"data.pkl": table({})}, "members do not fit|has no data.pkl"),
    "empty": ({}, "not a file that torch.save wrote"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_archives_that_torch_does_not_write(tmp_path: Path, case: str) -> None:
    members, reason = ARCHIVES[case]
    with pytest.raises(CheckpointError, match=reason):
        read_torch_file(write_members(tmp_path / "a.bin", members))


def test_a_good_archive_needs_no_byteorder(tmp_path: Path) -> None:
    del (members := dict(GOOD))["model/byteorder"]
    assert list(read_all(write_members(tmp_path / "a.bin", members))) == ["a"]


def test_compressed_members_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="compressed or encrypted members"):
        read_torch_file(write_members(tmp_path / "a.bin", GOOD, zipfile.ZIP_DEFLATED))


def patched(path: Path, place: int, data: bytes) -> Path:
    """The good archive with some bytes replaced; a negative place counts from its end."""
    whole = bytearray(write_members(path, GOOD).read_bytes())
    place %= len(whole)
    whole[place : place + len(data)] = data
    path.write_bytes(whole)
    return path


def test_the_directory_must_agree_with_the_members(tmp_path: Path) -> None:
    end = 22  # bytes of the record that ends a zip; before it stands the entry of the last member
    last = end + 46 + len("model/data/0")
    huge = (1 << 31).to_bytes(4, "little")
    for place, data in [(30, b"m0del"), (26, b"\xff\xff"), (-last + 20, huge + huge), (-last + 42, huge)]:
        with pytest.raises(CheckpointError, match="cut off or damaged"):
            read_torch_file(patched(tmp_path / "a.bin", place, data))


def test_a_member_twice_is_refused(tmp_path: Path) -> None:
    path = write_members(tmp_path / "a.bin", GOOD)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as file:
        warnings.simplefilter("ignore")  # zipfile warns of the double name
        file.writestr("model/data/0", bytes(16))
    with pytest.raises(CheckpointError, match="members do not fit"):
        read_torch_file(path)


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "before torch 1.6"),
        (b"GGUF" + bytes(100), "not a file that torch.save wrote"),
        (b"", "not a file that torch.save wrote"),
        (b"PK\x03\x04" + bytes(100), "cut off or damaged"),
    ],
)
def test_other_formats_are_named(tmp_path: Path, start: bytes, reason: str) -> None:
    (tmp_path / "a.bin").write_bytes(start)
    with pytest.raises(CheckpointError, match=reason):
        read_torch_file(tmp_path / "a.bin")


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.bin"):
        with pytest.raises(CheckpointError, match="cannot be read"):
            read_torch_file(path)


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    whole = write_tensors(tmp_path / "a.bin", {"a": FOUR, "b": FOUR}).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut.bin").write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            read_torch_file(tmp_path / "cut.bin")


def test_only_the_tensor_asked_for_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tensors(tmp_path / "a.bin", {"a": FOUR, "b": FOUR + 4, "c": FOUR + 8})
    memmap = Mock(wraps=np.memmap)
    monkeypatch.setattr(np, "memmap", memmap)
    sources = read_torch_file(path)
    memmap.assert_not_called()
    assert (sources[1].read() == FOUR + 4).all()
    memmap.assert_called_once_with(path, np.float32, "r", sources[1].start, (4,))


def test_a_file_that_shrinks_after_opening(tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "a.bin", {"a": FOUR, "b": FOUR})
    first, second = read_torch_file(path)
    path.write_bytes(path.read_bytes()[: second.start + 3])
    assert (first.read() == FOUR).all()
    with pytest.raises(CheckpointError, match="'b' cannot be read"):
        second.read()
