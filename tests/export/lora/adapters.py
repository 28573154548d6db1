"""Adapters for the golden V2 case, drawn with numpy and written as PEFT and upstream write them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from edgevlm_export.checkpoint.pickle_reader import read_torch_file
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tests.conftest import GOLDEN
from tests.export.checkpoint.torch_files import write_tensors

Tensors = dict[str, NDArray[Any]]

CHECKPOINT = GOLDEN / "v2" / "checkpoint"
CLIP = GOLDEN / "v2" / "clip"
PREFIX = "base_model.model."
RANK, ALPHA = 4, 8
SHAPES = {
    **{f"self_attn.{name}_proj": (64, 64) for name in "qkvo"},
    **{f"mlp.{name}_proj": (176, 64) for name in ("gate", "up")},
    "mlp.down_proj": (64, 176),
}
CONFIG: dict[str, object] = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": "mtgv/MobileVLM_V2-1.7B",
    "r": RANK,
    "lora_alpha": ALPHA,
    "lora_dropout": 0.05,
    "bias": "none",
    "fan_in_fan_out": False,
    "inference_mode": True,
    "init_lora_weights": True,
    "modules_to_save": None,
    "megatron_core": "megatron.core",
    "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
}


def base() -> Tensors:
    """The golden checkpoint's tensors."""
    return {source.name: source.read().copy() for source in read_torch_file(CHECKPOINT / "pytorch_model.bin")}


def drawn(seed: int = 0, rank: int = RANK) -> Tensors:
    """Updates of all linear layers of the language model, and B of zeros where PEFT adapts the tower by mistake."""
    draw = np.random.default_rng(seed)
    tensors: Tensors = {}
    for layer in range(2):
        for name, (outputs, inputs) in SHAPES.items():
            module = f"{PREFIX}model.layers.{layer}.{name}"
            tensors[f"{module}.lora_A.weight"] = draw.normal(0, 0.1, (rank, inputs)).astype(np.float32)
            tensors[f"{module}.lora_B.weight"] = draw.normal(0, 0.1, (outputs, rank)).astype(np.float32)
    tower = f"{PREFIX}model.vision_tower.vision_tower.vision_model.encoder.layers.0.self_attn.q_proj"
    tensors[f"{tower}.lora_A.weight"] = np.ones((rank, 32), np.float32)
    tensors[f"{tower}.lora_B.weight"] = np.zeros((32, rank), np.float32)
    return tensors


def projector(seed: int = 0) -> Tensors:
    """A projector that was trained beside the adapter, and the tower that upstream's training saves with it."""
    draw = np.random.default_rng(seed)
    return {
        PREFIX + name: (draw.normal(0, 0.1, tensor.shape) if "projector" in name else tensor * 2).astype(np.float16)
        for name, tensor in base().items()
        if "mm_projector" in name or "vision_tower" in name
    }


def write_adapter(
    folder: Path, tensors: Tensors, whole: Tensors | None = None, config: Mapping[str, object] | None = None
) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **(config or {})}))
    save_file(tensors, folder / "adapter_model.safetensors")
    if whole is not None:
        write_tensors(folder / "non_lora_trainables.bin", whole)
    return folder


def updates(tensors: Tensors, factor: float = ALPHA / RANK) -> Tensors:
    """`factor * B @ A` by the name of the weight, in float32."""
    modules = [name.removesuffix(".lora_A.weight") for name in tensors if name.endswith(".lora_A.weight")]
    return {
        f"{module.removeprefix(PREFIX)}.weight": np.float32(factor)
        * (tensors[f"{module}.lora_B.weight"] @ tensors[f"{module}.lora_A.weight"])
        for module in modules
        if "vision_tower" not in module
    }
