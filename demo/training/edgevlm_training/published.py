"""`python -m edgevlm_training.published --run DIR`: writes the trained weights in the published file layout.

Float16, the tower inside the checkpoint, one stored but unused last tower layer, as in MobileVLM V2.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from edgevlm_demo import checkpoint_folder, clip_folder
from edgevlm_demo.scenes import GRID, PATCH, SIDE
from edgevlm_demo.scenes.wording import UNANSWERABLE
from torch import Tensor

from edgevlm_training.model import DemoModel, Shape
from edgevlm_training.pixels import MEAN, STD

MAX_LENGTH = 512  # tokens, the image's 144 among them
TOWER = "model.vision_tower.vision_tower.vision_model."
PREFIXES = {
    "tower.": TOWER,
    "projector.": "model.mm_projector.",
    "decoder.": "model.",
    "lm_head.": "lm_head.",
}


def export(run: Path, checkpoint: Path, clip: Path, temperature: float) -> None:
    """Read `run/state.pt` and `run/tokenizer.model`; write both folders, weights last and by renaming."""
    state: dict[str, Any] = torch.load(run / "state.pt", weights_only=True)
    weights: dict[str, Tensor] = state["average"]
    shape = Shape(vocab=weights["lm_head.weight"].shape[0])
    DemoModel(shape).load_state_dict(weights)
    checkpoint.mkdir(parents=True, exist_ok=True)
    clip.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run / "tokenizer.model", checkpoint / "tokenizer.model")
    _write(checkpoint / "config.json", model_config(shape))
    _write(checkpoint / "generation_config.json", GENERATION)
    _write(checkpoint / "tokenizer_config.json", tokenizer_config())
    _write(checkpoint / "special_tokens_map.json", SPECIAL_TOKENS)
    _write(checkpoint / "edgevlm.json", about(temperature))
    _write(clip / "config.json", clip_config(shape))
    _write(clip / "preprocessor_config.json", preprocessor_config())
    part = checkpoint / "pytorch_model.part"
    torch.save(published(weights, shape), part)
    os.replace(part, checkpoint / "pytorch_model.bin")


def load_published(checkpoint: Path) -> DemoModel:
    """The exported weights back in the training model, in float32."""
    tensors: dict[str, Tensor] = torch.load(checkpoint / "pytorch_model.bin", weights_only=True)
    model = DemoModel(Shape(vocab=tensors["lm_head.weight"].shape[0]))
    model.load_state_dict({name: tensors[_published_name(name)].float() for name in model.state_dict()})
    return model


def published(weights: dict[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """All tensors under their published names, in float16."""
    tensors = {_published_name(name): tensor for name, tensor in weights.items()}
    tensors |= _unused(tensors, shape)
    return {name: tensors[name].to(torch.float16).contiguous().clone() for name in sorted(tensors)}


def _published_name(name: str) -> str:
    for ours, theirs in PREFIXES.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    raise ValueError(f"{name} has no published name")


def _unused(tensors: dict[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """What the published files store and nothing reads: the tower's last layer and its final norm."""
    last = f"{TOWER}encoder.layers.{shape.tower_layers}."
    first = f"{TOWER}encoder.layers.0."
    unused = {
        last + name.removeprefix(first): torch.zeros_like(tensor)
        for name, tensor in tensors.items()
        if name.startswith(first)
    }
    unused[f"{TOWER}post_layernorm.weight"] = torch.ones(shape.width)
    unused[f"{TOWER}post_layernorm.bias"] = torch.zeros(shape.width)
    return unused


def model_config(shape: Shape) -> dict[str, Any]:
    """`config.json`, with the keys of the published V2 checkpoints and no other."""
    heads = shape.width // shape.head
    return {
        "_name_or_path": "edgevlm-demo",
        "architectures": ["MobileLlamaForCausalLM"],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "freeze_mm_mlp_adapter": False,
        "hidden_act": "silu",
        "hidden_size": shape.width,
        "image_aspect_ratio": "pad",
        "image_grid_pinpoints": None,
        "initializer_range": 0.02,
        "intermediate_size": shape.mlp,
        "max_position_embeddings": MAX_LENGTH,
        "max_sequence_length": MAX_LENGTH,
        "mm_hidden_size": shape.width,
        "mm_projector_lr": None,
        "mm_projector_type": "ldpnetv2",
        "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False,
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": -2,
        "mm_vision_tower": "openai/clip-vit-large-patch14-336",
        "model_type": "mobilevlm",
        "num_attention_heads": heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": heads,
        "pad_token_id": 0,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-6,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "transformers_version": "4.33.1",
        "tune_mm_mlp_adapter": False,
        "use_cache": True,
        "use_mm_proj": True,
        "vision_tower_type": "clip",
        "vocab_size": shape.vocab,
    }


def clip_config(shape: Shape) -> dict[str, Any]:
    """The part of CLIP's `config.json` that describes the tower."""
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "torch_dtype": "float16",
        "transformers_version": "4.33.1",
        "vision_config": {
            "hidden_act": "quick_gelu",
            "hidden_size": shape.width,
            "image_size": SIDE,
            "intermediate_size": shape.tower_mlp,
            "layer_norm_eps": 1e-5,
            "model_type": "clip_vision_model",
            "num_attention_heads": shape.width // shape.head,
            "num_channels": 3,
            "num_hidden_layers": shape.tower_layers + 1,
            "patch_size": PATCH,
        },
    }


def preprocessor_config() -> dict[str, Any]:
    assert GRID * PATCH == SIDE
    return {
        "crop_size": SIDE,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": [float(f"{value:.8f}") for value in MEAN],
        "image_std": [float(f"{value:.8f}") for value in STD],
        "resample": 3,
        "size": SIDE,
    }


def _special(content: str) -> dict[str, Any]:
    return {
        "content": content,
        "lstrip": False,
        "normalized": True,
        "rstrip": False,
        "single_word": False,
    }


DESCRIPTION = (
    "Drawings of devices in a plant: digital displays and printed numbers, dial gauges, signal lamps, labels and "
    "nameplates, flanges with bolts, and metal plates with defects."
)
"""What data version 7 draws."""

SPECIAL_TOKENS = {
    "bos_token": _special("<s>"),
    "eos_token": _special("</s>"),
    "pad_token": _special("<unk>"),
    "unk_token": _special("<unk>"),
}

GENERATION = {
    "_from_model_config": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "transformers_version": "4.33.1",
}


def about(temperature: float) -> dict[str, Any]:
    """`edgevlm.json`, which is this project's own."""
    return {
        "description": DESCRIPTION,
        "refusal": {"text": UNANSWERABLE, "instruction": ""},
        "confidence_temperature": temperature,
        "writes_json": False,
    }


def tokenizer_config() -> dict[str, Any]:
    """`legacy` is what the demo was trained with: text after `</s>` is tokenised as a fresh piece."""
    added = {name: {"__type": "AddedToken", **token} for name, token in SPECIAL_TOKENS.items()}
    return {
        "add_bos_token": True,
        "add_eos_token": False,
        **added,
        "clean_up_tokenization_spaces": False,
        "legacy": True,
        "model_max_length": MAX_LENGTH,
        "padding_side": "right",
        "sp_model_kwargs": {},
        "spaces_between_special_tokens": False,
        "tokenizer_class": "LlamaTokenizer",
        "use_default_system_prompt": True,
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m edgevlm_training.published", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the training run")
    parser.add_argument("--checkpoint", type=Path, default=checkpoint_folder())
    parser.add_argument("--clip", type=Path, default=clip_folder())
    parser.add_argument(
        "--confidence-temperature",
        type=float,
        default=1.0,
        metavar="T",
        help="as 'edgevlm eval demo --engine' finds it (default: 1)",
    )
    arguments = parser.parse_args()
    export(arguments.run, arguments.checkpoint, arguments.clip, arguments.confidence_temperature)


if __name__ == "__main__":
    main()
