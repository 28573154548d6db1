"""A checkpoint's folder: golden cases, shards, and the account of every tensor."""

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from edgevlm_export.checkpoint.checkpoint import Checkpoint, files_digest, open_checkpoint, vision_checkpoint
from edgevlm_export.errors import CheckpointError
from safetensors.numpy import save_file

from tests.conftest import GOLDEN
from tests.export.checkpoint.torch_files import Array, write_tensors

Arrays = Mapping[str, Array]
Writer = Callable[[Path, Arrays], object]


def write_safetensors(path: Path, arrays: Arrays) -> None:
    save_file(dict(arrays), path)


WRITERS: dict[str, Writer] = {"pytorch_model.bin": write_tensors, "model.safetensors": write_safetensors}
ARRAYS: dict[str, Array] = {
    "model.norm.weight": np.arange(4, dtype=np.float32),
    "lm_head.weight": np.arange(8, dtype=np.float16).reshape(2, 4),
    "model.embed_tokens.weight": np.arange(8).reshape(2, 4).astype(ml_dtypes.bfloat16),
}


@pytest.fixture(params=WRITERS)
def single(request: pytest.FixtureRequest) -> str:
    """Each name of a file with all weights."""
    return str(request.param)


def sharded(folder: Path, single: str, parts: Mapping[str, Arrays]) -> Path:
    """Shards as transformers names them, `parts` being the file of each; returns the index."""
    for file, arrays in parts.items():
        WRITERS[single](folder / file, arrays)
    index = folder / f"{single}.index.json"
    index.write_text(json.dumps({"weight_map": {name: file for file, arrays in parts.items() for name in arrays}}))
    return index


def halves(single: str) -> dict[str, Arrays]:
    stem, suffix = single.split(".")
    names = list(ARRAYS)
    return {
        f"{stem}-00001-of-00002.{suffix}": {name: ARRAYS[name] for name in names[:2]},
        f"{stem}-00002-of-00002.{suffix}": {name: ARRAYS[name] for name in names[2:]},
    }


def assert_holds_all(checkpoint: Checkpoint) -> None:
    for name, wanted in ARRAYS.items():
        source = checkpoint.take(name, wanted.shape)
        assert (source.name, source.dtype, source.shape) == (name, wanted.dtype, wanted.shape)
        assert source.read().tobytes() == wanted.tobytes()
    checkpoint.finish()


def stored_bytes(path: Path) -> list[bytes]:
    """The storages of a torch archive in the order of their tensors, taken straight from the zip."""
    with zipfile.ZipFile(path) as file:
        count = sum("/data/" in name for name in file.namelist())
        return [file.read(f"pytorch_model/data/{key}") for key in range(count)]


def test_golden_checkpoints_hold_what_upstream_stored(golden: Path) -> None:
    checkpoint = open_checkpoint(golden / "checkpoint")
    wanted = json.loads((golden / "names.json").read_text())
    stored = stored_bytes(golden / "checkpoint" / "pytorch_model.bin")
    for (name, (shape, dtype)), data in zip(wanted.items(), stored, strict=True):
        source = checkpoint.take(name, tuple(shape))
        assert f"torch.{source.dtype.name}" == dtype
        assert source.read().tobytes() == data
    checkpoint.finish()


def test_the_clip_folder_offers_its_vision_tower_alone(golden: Path) -> None:
    tower = vision_checkpoint(golden / "clip")
    wanted = json.loads((golden / "names.json").read_text())
    prefix = "model.vision_tower.vision_tower."
    for name, (shape, _) in wanted.items():
        if name.startswith(prefix):
            tower.take(name.removeprefix(prefix), tuple(shape))
    tower.finish()
    assert {"logit_scale", "text_projection.weight", "visual_projection.weight"} < tower.skipped.keys()
    assert set(tower.skipped.values()) == {"only CLIP's vision tower is used"}


def test_one_file(tmp_path: Path, single: str) -> None:
    WRITERS[single](tmp_path / single, ARRAYS)
    assert_holds_all(open_checkpoint(tmp_path))


def test_shards(tmp_path: Path, single: str) -> None:
    index = sharded(tmp_path, single, halves(single))
    (tmp_path / "config.json").write_text("{}")
    checkpoint = open_checkpoint(tmp_path)
    assert_holds_all(checkpoint)
    assert [file.name for file in checkpoint.files] == sorted(["config.json", index.name, *halves(single)])


def test_safetensors_win(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", ARRAYS)
    (tmp_path / "pytorch_model.bin").write_bytes(b"not even a zip")
    assert_holds_all(open_checkpoint(tmp_path))


def test_symbolic_links_are_followed(tmp_path: Path, single: str) -> None:
    (tmp_path / "blobs").mkdir()  # a Hugging Face cache: snapshots/<commit>/NAME -> ../../blobs/<digest>
    (tmp_path / "snapshot").mkdir()
    for number, (file, arrays) in enumerate(halves(single).items()):
        WRITERS[single](tmp_path / "blobs" / str(number), arrays)
        os.symlink(f"../blobs/{number}", tmp_path / "snapshot" / file)
    names = {name: file for file, arrays in halves(single).items() for name in arrays}
    (tmp_path / "snapshot" / f"{single}.index.json").write_text(json.dumps({"weight_map": names}))
    assert_holds_all(open_checkpoint(tmp_path / "snapshot"))


def test_a_missing_shard_is_named(tmp_path: Path, single: str) -> None:
    sharded(tmp_path, single, halves(single))
    last = sorted(halves(single))[-1]
    (tmp_path / last).unlink()
    with pytest.raises(CheckpointError, match=f"lacks the file '{last}'"):
        open_checkpoint(tmp_path)


def test_a_tensor_in_two_shards(tmp_path: Path, single: str) -> None:
    first, second = halves(single)
    sharded(tmp_path, single, {first: ARRAYS, second: {"lm_head.weight": ARRAYS["lm_head.weight"]}})
    with pytest.raises(CheckpointError, match=r"'lm_head\.weight' stands in two files"):
        open_checkpoint(tmp_path)


def test_a_tensor_that_only_the_index_knows(tmp_path: Path, single: str) -> None:
    index = sharded(tmp_path, single, halves(single))
    names = json.loads(index.read_text())["weight_map"]
    index.write_text(json.dumps({"weight_map": names | {"model.layers.0.bias": next(iter(halves(single)))}}))
    with pytest.raises(CheckpointError, match=r"names tensor 'model\.layers\.0\.bias', but no file holds it"):
        open_checkpoint(tmp_path)


PLACES = [
    "../outside.bin",
    "/etc/passwd.bin",
    "sub/a.bin",
    "..\\a.bin",
    "..",
    ".",
    "",
    "a.safetensors",
    "a.py",
    7,
    None,
]


@pytest.mark.parametrize("place", PLACES)
def test_an_index_stays_in_its_folder(tmp_path: Path, place: object) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for outside in (tmp_path / "outside.bin", tmp_path / "a.bin"):
        write_tensors(outside, ARRAYS)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"a": place}}))
    with pytest.raises(CheckpointError, match=r"not a \.bin file of its own folder"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}', '{"weight_map": "a.bin"}']
)
def test_a_broken_index(tmp_path: Path, text: str) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(text)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(tmp_path)
    assert str(caught.value).startswith(str(index))


@pytest.mark.parametrize("name", ["a\x00.bin", "\ud800.bin", "x" * 5000 + ".bin"])
def test_an_index_with_impossible_names(tmp_path: Path, name: str) -> None:
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(CheckpointError, match="lacks the file") as caught:
        open_checkpoint(tmp_path)
    str(caught.value).encode()


def test_folders_without_weights(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(CheckpointError, match="holds no weights"):
            open_checkpoint(folder)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="LoRA adapter"):
        open_checkpoint(tmp_path)


def test_shards_without_their_index_are_not_called_no_weights(tmp_path: Path, single: str) -> None:
    stem, _, suffix = single.partition(".")
    (tmp_path / f"{stem}-00001-of-00002.{suffix}").touch()
    with pytest.raises(CheckpointError, match=rf"00001-of-00002\.{suffix} but not {stem}\.{suffix}\.index\.json"):
        open_checkpoint(tmp_path)


def test_a_git_lfs_pointer_is_named(tmp_path: Path, single: str) -> None:
    (tmp_path / single).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3370000000\n")
    with pytest.raises(CheckpointError, match="Git LFS pointer"):
        open_checkpoint(tmp_path)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    write_tensors(tmp_path / "pytorch_model.bin", ARRAYS)
    return open_checkpoint(tmp_path)


def test_a_missing_tensor_and_its_nearest_name(checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match=r"'model\.norm\.bias' is missing; .* is 'model\.norm\.weight'"):
        checkpoint.take("model.norm.bias", (4,))


def test_a_tensor_of_another_shape(checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match=r"'lm_head\.weight' has shape \(2, 4\), .* needs \(4, 2\)"):
        checkpoint.take("lm_head.weight", (4, 2))
    checkpoint.take("lm_head.weight", (2, 4))  # the refusal did not count as use


def test_a_tensor_twice(checkpoint: Checkpoint) -> None:
    checkpoint.take("lm_head.weight", (2, 4))
    with pytest.raises(CheckpointError, match="needed twice"):
        checkpoint.take("lm_head.weight", (2, 4))


def test_tensors_left_over(checkpoint: Checkpoint) -> None:
    checkpoint.take("lm_head.weight", (2, 4))
    with pytest.raises(CheckpointError, match=r"holds 2 tensors .*: 'model\.embed_tokens\.weight', 'model\.norm"):
        checkpoint.finish()


def test_of_many_tensors_left_over_five_are_named(tmp_path: Path) -> None:
    write_tensors(tmp_path / "pytorch_model.bin", {f"t{key}": np.ones(1) for key in range(9)})
    with pytest.raises(CheckpointError, match=r"holds 9 tensors .*: 't0', 't1', 't2', 't3', 't4', \.\.\.\.$"):
        open_checkpoint(tmp_path).finish()


def test_skipping(checkpoint: Checkpoint) -> None:
    checkpoint.take("lm_head.weight", (2, 4))
    checkpoint.skip("*.weight", "not this time")
    checkpoint.skip("*.weight", "again")
    assert checkpoint.skipped == dict.fromkeys(["model.norm.weight", "model.embed_tokens.weight"], "not this time")
    checkpoint.finish()
    with pytest.raises(CheckpointError, match=r"'model\.norm\.weight' is needed but was skipped: not this time"):
        checkpoint.take("model.norm.weight", (4,))


def test_stale_constants_are_skipped(tmp_path: Path, single: str) -> None:
    stale: dict[str, Array] = {
        "model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(64, ml_dtypes.bfloat16),
        "model.vision_tower.vision_tower.vision_model.embeddings.position_ids": np.arange(577)[None],
    }
    WRITERS[single](tmp_path / single, ARRAYS | stale)
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.skipped.keys() == stale.keys()
    for name, wanted in ARRAYS.items():
        checkpoint.take(name, wanted.shape)
    checkpoint.finish()


def test_one_damaged_tensor_harms_no_other(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", ARRAYS)
    checkpoint = open_checkpoint(tmp_path)
    sources = [checkpoint.take(name, wanted.shape) for name, wanted in ARRAYS.items()]
    with (tmp_path / "model.safetensors").open("r+b") as file:
        file.truncate((tmp_path / "model.safetensors").stat().st_size - 1)
    readable = []
    for source in sources:
        try:
            readable.append(source.read())
        except CheckpointError as error:
            assert source.name in str(error)
    assert len(readable) == len(sources) - 1


def test_the_digest_is_that_of_the_files_in_order(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "v2" / "checkpoint", tmp_path / "a")
    checkpoint = open_checkpoint(tmp_path / "a")
    assert [file.name for file in checkpoint.files] == ["config.json", "pytorch_model.bin"]
    content = b"".join(file.read_bytes() for file in checkpoint.files)
    told: list[int] = []
    assert files_digest(checkpoint.files, told.append) == hashlib.sha256(content).hexdigest()
    assert sum(told) == len(content)
    (tmp_path / "a" / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read"):
        files_digest(checkpoint.files)
