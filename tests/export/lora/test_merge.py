"""Adapters merged at export, beside checkpoints whose weights were merged by the plain formula."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgevlm_engines import load_engine, open_bundle, read_manifest
from edgevlm_export.checkpoint.checkpoint import as_float16, open_checkpoint
from edgevlm_export.exporter import export_bundle
from edgevlm_export.lora.adapter import open_adapter
from edgevlm_export.lora.merge import merge
from edgevlm_export.model_source import open_model
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tests.export.checkpoint.torch_files import write_tensors
from tests.export.lora.adapters import (
    ALPHA,
    CHECKPOINT,
    CLIP,
    PREFIX,
    RANK,
    Tensors,
    base,
    drawn,
    projector,
    updates,
    write_adapter,
)
from tests.prefill import prefill


def by_hand(folder: Path, *changes: Tensors, whole: Tensors | None = None) -> Path:
    """The golden checkpoint with `changes` added and whole tensors put in, as a checkpoint of its own."""
    shutil.copytree(CHECKPOINT, folder, ignore=shutil.ignore_patterns("*.bin"))
    tensors = base()
    for change in changes:
        for name, update in change.items():
            tensors[name] = tensors[name].astype(np.float32) + update
    for name, tensor in (whole or {}).items():
        if "mm_projector" in name:
            tensors[name.removeprefix(PREFIX)] = tensor
    save_file(tensors, folder / "model.safetensors")
    return folder


def logits(bundle: Path) -> NDArray[np.float32]:
    engine = load_engine("ort", open_bundle(bundle), slots=1, max_length=160)
    try:
        return prefill(engine, 0, np.arange(1, 40))
    finally:
        engine.close()


def merged(*adapters: tuple[Path, float]) -> Callable[[str], NDArray[np.float16]]:
    model = open_model(CHECKPOINT, CLIP, adapters)
    return lambda name: as_float16(model.weights.stored(name))


Q = "model.layers.0.self_attn.q_proj"


@pytest.mark.slow
def test_the_bundle_is_that_of_weights_merged_by_hand(tmp_path: Path, bundles: Callable[[str], Path]) -> None:
    tensors, whole = drawn(), projector()
    adapter = write_adapter(tmp_path / "adapter", tensors, whole)
    with_adapter = export_bundle(CHECKPOINT, tmp_path / "ours", vision_tower=CLIP, lora=[(adapter, 1.0)])
    expected = by_hand(tmp_path / "merged", updates(tensors), whole=whole)
    assert export_bundle(expected, tmp_path / "theirs", vision_tower=CLIP).files == with_adapter.files
    ours, theirs = logits(tmp_path / "ours"), logits(tmp_path / "theirs")
    np.testing.assert_array_equal(ours, theirs)
    assert np.abs(ours - logits(bundles("v2"))).max() > 0.1
    assert [source.name for source in with_adapter.sources] == ["checkpoint", "adapter"]


@pytest.mark.slow
def test_it_equals_upstreams_merge_in_float16_up_to_its_rounding(tmp_path: Path) -> None:
    """PEFT adds in the model's type, which upstream sets to float16: it rounds the product, and then the sum."""
    tensors = drawn()
    ours = merged((write_adapter(tmp_path / "adapter", tensors), 1.0))
    for name, update in updates(tensors).items():
        theirs = base()[name].astype(np.float16) + update.astype(np.float16)
        assert np.abs(ours(name) - theirs).max() <= 2 * np.spacing(np.abs(theirs).max())


def test_rows_at_once_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = write_adapter(tmp_path / "adapter", drawn())
    at_once = merged((adapter, 1.0))(f"{Q}.weight")
    monkeypatch.setattr("edgevlm_export.lora.merge._SLAB", 7 * 64)
    np.testing.assert_allclose(merged((adapter, 1.0))(f"{Q}.weight"), at_once, rtol=1e-3)


@pytest.mark.slow
def test_scales_and_several_adapters_in_turn(tmp_path: Path) -> None:
    one, two, whole = drawn(1), drawn(2, rank=2), projector()
    adapters = [
        (write_adapter(tmp_path / "one", one, whole), 0.5),
        (write_adapter(tmp_path / "two", two, config={"r": 2}), -1.0),
    ]
    manifest = export_bundle(CHECKPOINT, tmp_path / "ours", vision_tower=CLIP, lora=adapters)
    half = {name: (base()[name.removeprefix(PREFIX)] + tensor) / np.float32(2) for name, tensor in whole.items()}
    changes = updates(one, 0.5 * ALPHA / RANK), updates(two, -ALPHA / 2)
    expected = by_hand(tmp_path / "merged", *changes, whole={n: t.astype(np.float32) for n, t in half.items()})
    export_bundle(expected, tmp_path / "theirs", vision_tower=CLIP)
    np.testing.assert_allclose(logits(tmp_path / "ours"), logits(tmp_path / "theirs"), atol=1e-3)
    assert [source.name for source in manifest.sources] == ["checkpoint", "one:0.5", "two:-1"]


@pytest.mark.parametrize(
    ("config", "factor"),
    [
        ({"use_rslora": True}, ALPHA / np.sqrt(RANK)),
        ({"lora_alpha": 3}, 3 / RANK),
        ({"alpha_pattern": {"self_attn.q_proj": 1}}, 1 / RANK),
        ({"alpha_pattern": {"layers.1.self_attn.q_proj": 1, "proj": 1}}, ALPHA / RANK),
        ({"rank_pattern": {"q_proj": RANK}, "r": 64, "layers_to_transform": [0]}, ALPHA / RANK),
    ],
)
def test_the_factor_is_what_the_configuration_says(tmp_path: Path, config: dict[str, object], factor: float) -> None:
    tensors = {name: tensor for name, tensor in drawn().items() if f"{Q}." in name or "rank_pattern" not in config}
    found = merged((write_adapter(tmp_path / "adapter", tensors, config=config), 1.0))(f"{Q}.weight")
    expected = base()[f"{Q}.weight"] + updates(tensors, factor)[f"{Q}.weight"]
    np.testing.assert_array_equal(found, expected.astype(np.float16))


def test_pickles_and_names_of_other_versions_are_read(tmp_path: Path) -> None:
    tensors = drawn()
    adapter = write_adapter(tmp_path / "adapter", tensors)
    (adapter / "adapter_model.safetensors").unlink()
    write_tensors(
        adapter / "adapter_model.bin", {n.replace(".weight", ".default.weight"): t for n, t in tensors.items()}
    )
    name = next(iter(projector()))
    write_tensors(adapter / "non_lora_trainables.bin", {name.removeprefix("base_model."): projector()[name]})
    opened = open_adapter(adapter, 1.0)
    assert opened.updates.keys() == updates(tensors).keys()
    assert all(found.removeprefix("model.").startswith(("mm_projector", "vision")) for found in opened.whole)


def test_an_adapter_in_a_hubs_cache_has_its_repositorys_name(tmp_path: Path) -> None:
    snapshots = tmp_path / "models--somebody--my-adapter" / "snapshots"
    snapshots.mkdir(parents=True)
    adapter = write_adapter(snapshots / ("0" * 40), drawn())
    assert open_adapter(adapter, 0.5).name == "my-adapter:0.5"


def test_modules_saved_whole_replace_the_bases(tmp_path: Path) -> None:
    head = np.full((400, 64), 0.25, np.float16)
    tensors = drawn() | {f"{PREFIX}lm_head.weight": head}
    adapter = write_adapter(tmp_path / "adapter", tensors, config={"modules_to_save": ["lm_head"]})
    np.testing.assert_array_equal(merged((adapter, 1.0))("lm_head.weight"), head)


def test_a_plain_language_model_gets_projector_and_configuration_from_the_adapter(tmp_path: Path) -> None:
    """As V1 was trained: the base is the language model alone."""
    language = tmp_path / "language"
    shutil.copytree(CHECKPOINT, language, ignore=shutil.ignore_patterns("*.bin"))
    config = json.loads((CHECKPOINT / "config.json").read_text())
    plain = {key: value for key, value in config.items() if not key.startswith(("mm_", "vision"))}
    (language / "config.json").write_text(json.dumps(plain | {"model_type": "llama"}))
    save_file({n: t for n, t in base().items() if "mm_projector" not in n}, language / "model.safetensors")
    tensors, whole = drawn(), projector()
    adapter = write_adapter(tmp_path / "adapter", tensors, whole)
    shutil.copyfile(CHECKPOINT / "config.json", adapter / "config.json")
    ours = export_bundle(language, tmp_path / "ours", vision_tower=CLIP, lora=[(adapter, 1.0)])
    expected = by_hand(tmp_path / "merged", updates(tensors), whole=whole)
    assert ours.files == export_bundle(expected, tmp_path / "theirs", vision_tower=CLIP).files


def test_memory_holds_one_tensor(tmp_path: Path) -> None:
    """Nothing is read before it is asked for: a merged checkpoint has no values of its own."""
    checkpoint = open_checkpoint(CHECKPOINT)
    adapter = open_adapter(write_adapter(tmp_path / "adapter", drawn()), 1.0)
    shutil.rmtree(tmp_path / "adapter")
    merge(checkpoint, adapter)
    with pytest.raises(Exception, match="cannot be read"):
        checkpoint.stored(f"{Q}.weight").read()


def test_the_command_takes_adapters(tmp_path: Path) -> None:
    from edgevlm.cli import main

    adapter = write_adapter(tmp_path / "adapter", drawn())
    command = ["export", str(CHECKPOINT), str(tmp_path / "b"), "--vision-tower", str(CLIP), "--precision", "fp32"]
    assert main([*command, "--lora", str(adapter), "--lora", f"{adapter}:-1"]) == 0
    assert [source.name for source in read_manifest(tmp_path / "b").sources] == [
        "checkpoint",
        "adapter",
        "adapter:-1",
    ]
