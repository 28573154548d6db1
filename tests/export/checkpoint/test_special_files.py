"""Whatever lies in a checkpoint's folder, its export ends soon: pipes are not waited for, huge headers not parsed."""

import os
import shutil
import struct
import tracemalloc
from pathlib import Path

import pytest
from edgevlm_export.checkpoint.checkpoint import open_checkpoint, read_tensors
from edgevlm_export.checkpoint.json_keys import read_json
from edgevlm_export.checkpoint.pickle_reader import read_torch_file
from edgevlm_export.checkpoint.safetensors_reader import read_safetensors
from edgevlm_export.errors import CheckpointError, ExportError
from edgevlm_export.exporter import export_bundle

from tests.conftest import GOLDEN

V1 = GOLDEN / "v1"
NEEDED = [
    ("checkpoint", "config.json"),
    ("checkpoint", "pytorch_model.bin"),
    ("checkpoint", "tokenizer.model"),
    ("clip", "config.json"),
    ("clip", "pytorch_model.bin"),
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("part", "name"), NEEDED)
def test_a_pipe_in_place_of_a_file_is_refused(tmp_path: Path, part: str, name: str) -> None:
    for folder in ("checkpoint", "clip"):
        shutil.copytree(V1 / folder, tmp_path / folder)
    (tmp_path / part / name).unlink()
    os.mkfifo(tmp_path / part / name)
    with pytest.raises(ExportError, match=f"{tmp_path / part}"):
        export_bundle(tmp_path / "checkpoint", tmp_path / "bundle", vision_tower=tmp_path / "clip")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("read", [read_tensors, read_torch_file, read_safetensors, read_json])
@pytest.mark.parametrize("name", ["x.bin", "x.safetensors"])
def test_no_reader_waits_for_a_pipe(tmp_path: Path, read: object, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(ExportError, match="cannot be read: it is not a regular file"):
        read(tmp_path / name)  # type: ignore[operator]


def test_a_shard_that_is_a_pipe_is_missing(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin.index.json").write_text('{"weight_map": {"a": "x.bin"}}')
    os.mkfifo(tmp_path / "x.bin")
    with pytest.raises(CheckpointError, match=r"lacks the file 'x\.bin'"):
        open_checkpoint(tmp_path)


def test_a_huge_header_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    length = 95_000_000
    with path.open("wb") as file:
        file.write(struct.pack("<Q", length))
        file.truncate(8 + length)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match="has a header of 95000000 bytes; at most 4194304 are read"):
            read_safetensors(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("piece", [b"[[[]]],", b"[],", b'{"":{}},', b'"\xf0\x9f\x98\x80 ",'])
def test_the_largest_header_takes_bounded_memory(tmp_path: Path, piece: bytes) -> None:
    path = tmp_path / "model.safetensors"
    text = b'{"a":[' + piece * ((4 << 20) // len(piece) - 3) + b"0]}"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    del text
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match="malformed entry"):
            read_safetensors(path)
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()
