"""Adapters that do not fit, and variants of LoRA that are not plain ones: each is refused by name."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from edgevlm_export.errors import ExportError
from edgevlm_export.model_source import open_model

from edgevlm.conversion import lora
from tests.export.lora.adapters import CHECKPOINT, CLIP, PREFIX, RANK, Tensors, drawn, write_adapter

Q = f"{PREFIX}model.layers.0.self_attn.q_proj"
TOWER = f"{PREFIX}model.vision_tower.vision_tower.vision_model.encoder.layers.0.self_attn.q_proj"


def refused(adapter: Path, sentence: str, scale: float = 1.0) -> None:
    with pytest.raises(ExportError, match=sentence):
        open_model(CHECKPOINT, CLIP, [(adapter, scale)])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("use_dora", True),
        ("peft_type", "LOHA"),
        ("bias", "all"),
        ("fan_in_fan_out", True),
        ("lora_bias", True),
        ("init_lora_weights", "pissa_niter_4"),
        ("layer_replication", [[0, 1], [1, 2]]),
        ("trainable_token_indices", {"embed_tokens": [1]}),
        ("use_rslora", "yes"),
        ("rank_pattern", {"layers.(0|1).+": 4}),
        ("alpha_pattern", {"q_proj": "many"}),
        ("a_setting_of_next_year", 3),
    ],
)
def test_variants_are_named(tmp_path: Path, key: str, value: object) -> None:
    shown = next(iter(value)) if key == "alpha_pattern" and isinstance(value, dict) else key
    refused(write_adapter(tmp_path / "adapter", drawn(), config={key: value}), rf"adapter_config\.json: {shown} is ")


def test_what_is_switched_off_changes_nothing(tmp_path: Path) -> None:
    config: dict[str, object] = {
        "use_dora": False,
        "a_setting_of_next_year": None,
        "corda_config": {},
        "alora_invocation_tokens": None,
    }
    open_model(CHECKPOINT, CLIP, [(write_adapter(tmp_path / "adapter", drawn(), config=config), 1.0)])


def renamed(tensors: Tensors, old: str, new: str) -> Tensors:
    return {name.replace(old, new): tensor for name, tensor in tensors.items()}


def without(tensors: Tensors, part: str) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if part not in name}


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        (drawn(rank=2), r"has lora_A \(2, \d+\) and lora_B \(\d+, 2\), but adapter_config\.json says rank 4"),
        (renamed(drawn(), "self_attn", "attention"), r"changes 'model\.layers\.0\.attention\.._proj\.weight', which"),
        (drawn() | {f"{Q}.lora_A.weight": np.zeros((RANK, 80), np.float32)}, r"another base: its .*\(64, 80\)"),
        (without(drawn(), f"{Q}.lora_B"), "has lora_A alone"),
        (without(drawn(), "layers.1."), "no update of .* in layer 1, but has one in other layers"),
        (drawn() | {f"{Q}.lora_magnitude_vector": np.ones(64, np.float32)}, "lora_magnitude_vector' is of a variant"),
        (drawn() | {f"{Q}.lora_A.weight": np.zeros((RANK, 3, 3, 3), np.float32)}, "is not a linear layer"),
        (drawn() | {f"{TOWER}.lora_B.weight": np.ones((32, RANK), np.float32)}, "changes the vision tower"),
        (drawn() | {f"{PREFIX}model.norm.scale": np.ones(64, np.float32)}, r"'model\.norm\.scale', which .* nearest"),
        ({name: tensor for name, tensor in drawn().items() if "vision" in name}, "holds no update"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path: Path, tensors: Tensors, sentence: str) -> None:
    refused(write_adapter(tmp_path / "adapter", tensors), sentence)


def test_an_adapter_says_which_base_it_was_trained_on(tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", drawn())
    config = json.loads((CHECKPOINT / "config.json").read_text())
    (adapter / "config.json").write_text(json.dumps(config | {"mm_projector_type": "ldpnet"}))
    refused(adapter, "another base: mm_projector_type is 'ldpnet' there and 'ldpnetv2' in")


def test_folders_that_hold_no_adapter_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "absent", r"adapter_config\.json cannot be read")
    adapter = write_adapter(tmp_path / "adapter", drawn())
    (adapter / "adapter_model.safetensors").unlink()
    refused(adapter, r"holds neither adapter_model\.safetensors nor adapter_model\.bin")
    shutil.copyfile(CHECKPOINT / "config.json", adapter / "config.json")
    with pytest.raises(ExportError, match="export its base with --lora"):
        open_model(adapter, CLIP)


def test_the_option_splits_folder_and_scale(tmp_path: Path) -> None:
    odd = tmp_path / "run:2"
    odd.mkdir()
    assert lora("adapter") == (Path("adapter"), 1.0)
    assert lora("adapter:0.5") == (Path("adapter"), 0.5)
    assert lora("host:adapter") == (Path("host:adapter"), 1.0)
    assert lora(str(odd)) == (odd, 1.0)
    with pytest.raises(Exception, match="0 is no scale"):
        lora("adapter:0")
