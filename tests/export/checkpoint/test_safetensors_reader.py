"""The safetensors reader against files of the `safetensors` package, and against damaged and hostile ones."""

import json
import struct
from pathlib import Path
from unittest.mock import Mock

import ml_dtypes
import numpy as np
import pytest
from edgevlm_export.checkpoint import safetensors_reader
from edgevlm_export.checkpoint.safetensors_reader import read_safetensors
from edgevlm_export.errors import CheckpointError
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tests.export.checkpoint.torch_files import Array

FOUR = np.arange(4, dtype=np.float32)
ENTRY = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
KINDS = ["bfloat16", "float16", "float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"]


def raw_file(path: Path, header: object, data: bytes = bytes(16)) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_is_read(tmp_path: Path, kind: str) -> None:
    dtype = np.dtype(ml_dtypes.bfloat16) if kind == "bfloat16" else np.dtype(kind)
    arrays: dict[str, Array] = {
        "matrix": np.arange(6).reshape(2, 3).astype(dtype),
        "scalar": np.ones((), dtype),
        "empty": np.ones((0, 3), dtype),
    }
    save_file(arrays, tmp_path / "a.safetensors", {"format": "pt"})
    sources = {source.name: source for source in read_safetensors(tmp_path / "a.safetensors")}
    assert sources.keys() == arrays.keys()
    for name, wanted in arrays.items():
        values = sources[name].read()
        assert (sources[name].dtype, sources[name].shape) == (values.dtype, values.shape) == (dtype, wanted.shape)
        assert values.tobytes() == wanted.tobytes()
        assert values.flags.aligned


def test_values_cannot_be_changed(tmp_path: Path) -> None:
    save_file({"a": FOUR}, tmp_path / "a.safetensors")
    (source,) = read_safetensors(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="read-only"):
        source.read()[0] = 1


def test_unaligned_data_is_read(tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'
    for blanks in range(4):
        path = raw_file(tmp_path / "a.safetensors", header + b" " * blanks, FOUR.tobytes())
        values = read_safetensors(path)[0].read()
        assert (values == FOUR).all()
        assert values.flags.aligned


def test_only_the_tensor_asked_for_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": FOUR, "b": FOUR + 4, "c": FOUR + 8}, path)
    memmap = Mock(wraps=np.memmap)
    monkeypatch.setattr(np, "memmap", memmap)
    sources = read_safetensors(path)
    memmap.assert_not_called()
    assert (sources[1].read() == FOUR + 4).all()
    memmap.assert_called_once_with(path, np.float32, "r", sources[1].start, (4,))


def test_a_file_that_shrinks_after_opening(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": FOUR, "b": FOUR + 4}, path)
    first, second = read_safetensors(path)
    path.write_bytes(path.read_bytes()[:-3])
    assert (first.read() == FOUR).all()
    with pytest.raises(CheckpointError, match="'b' cannot be read"):
        second.read()


HALVES = {
    "a": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]},
    "b": {"dtype": "F16", "shape": [4], "data_offsets": [8, 16]},
}
MALFORMED: dict[str, tuple[object, str]] = {
    "not JSON": (b"{", "not valid JSON"),
    "not text": (b"\xff\xfe", "not valid JSON"),
    "deep": (b"[" * 200_000, "not valid JSON"),
    "a list": ([], "not a JSON object"),
    "name twice": (b'{"a": 1, "a": 2}', "twice"),
    "entry of text": ({"a": "F32"}, "malformed entry"),
    "no shape": ({"a": {"dtype": "F32", "data_offsets": [0, 16]}}, "malformed entry"),
    "negative size": ({"a": ENTRY | {"shape": [-4]}}, "malformed entry"),
    "fraction": ({"a": ENTRY | {"shape": [4.0]}}, "malformed entry"),
    "true": ({"a": ENTRY | {"shape": [4, True]}}, "malformed entry"),
    "empty and huge": ({"a": ENTRY | {"shape": [0, 1 << 40, 1 << 40], "data_offsets": [0, 0]}}, "no array has"),
    "huge size": ({"a": ENTRY | {"shape": [1 << 60]}}, "malformed entry"),
    "many axes": ({"a": ENTRY | {"shape": [4] + [1] * 50}}, "malformed entry"),
    "one offset": ({"a": ENTRY | {"data_offsets": [0]}}, "malformed entry"),
    "endless name": ({"a" * 100_000: ENTRY}, "malformed entry"),
    "type of 8 bits": ({"a": ENTRY | {"dtype": "F8_E4M3"}}, "unsupported type 'F8_E4M3'"),
    "type of list": ({"a": ENTRY | {"dtype": ["F32"]}}, "malformed entry"),
    "too few bytes": ({"a": ENTRY | {"shape": [5]}}, "bytes do not fill"),
    "turned offsets": ({"a": ENTRY | {"data_offsets": [16, 0]}}, "bytes do not fill"),
    "beyond the file": ({"a": ENTRY | {"shape": [8], "data_offsets": [0, 32]}}, "has .* bytes where"),
    "bytes left over": ({"a": HALVES["a"]}, "has .* bytes where"),
    "overlap": (HALVES | {"c": HALVES["b"]}, "overlaps"),
    "partial overlap": (HALVES | {"b": HALVES["b"] | {"data_offsets": [4, 12]}}, "overlaps"),
    "hole": ({"b": HALVES["b"]}, "hole"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_headers_are_refused(tmp_path: Path, case: str) -> None:
    header, reason = MALFORMED[case]
    path = raw_file(tmp_path / "a.safetensors", header)
    with pytest.raises(CheckpointError, match=reason) as caught:
        read_safetensors(path)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < len(str(path)) + 600


def test_a_header_of_any_length_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = raw_file(tmp_path / "a.safetensors", {"a": ENTRY})
    path.write_bytes(struct.pack("<Q", 1 << 63) + path.read_bytes()[8:])
    with pytest.raises(CheckpointError, match="header does not fit"):
        read_safetensors(path)
    monkeypatch.setattr(safetensors_reader, "_MAX_HEADER", 20)
    with pytest.raises(CheckpointError, match="at most 20 are read"):
        read_safetensors(raw_file(path, {"a": ENTRY}))


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    path = raw_file(tmp_path / "a.safetensors", HALVES)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            read_safetensors(path)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.safetensors"):
        with pytest.raises(CheckpointError, match="cannot be read"):
            read_safetensors(path)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch") / "fuzzed.safetensors"


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(flips=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), min_size=1, max_size=4))
def test_damaged_files_load_or_are_refused(scratch: Path, flips: list[tuple[int, int]]) -> None:
    damaged = bytearray(raw_file(scratch, HALVES).read_bytes())
    for place, change in flips:
        damaged[place % len(damaged)] ^= change
    scratch.write_bytes(damaged)
    try:
        for source in read_safetensors(scratch):
            source.read()
    except CheckpointError as error:
        assert str(error).startswith(str(scratch))
