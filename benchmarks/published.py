"""The five published checkpoints with random weights, file by file as they lie on the hub. Knows no measurements.

Their peculiarities are kept: bfloat16 in torch's own format, two shards with an index, frequencies that must not be
read, keys of another program in the configuration, no `tokenizer.json`, a tower used in part (V2) or not (V1).
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np
from edgevlm_engines.manifest import Projector
from edgevlm_export.bundle_writer import Progress

from benchmarks.random_tensors import Tensor, all_tensors, draw, stale_tensors, tower_tensors
from benchmarks.random_tokenizer import tokenizer_model
from benchmarks.shapes import SHAPES, Json, Shape, Tower, clip_config, model_config
from benchmarks.torch_file import Stored, write_torch_file

CLIP = "clip-vit-large-patch14-336"
"""Folder beside the checkpoint: V1's tower, in float32, with CLIP's other half; V2's has the sizes alone."""

BFLOAT16, FLOAT32 = np.dtype(ml_dtypes.bfloat16), np.dtype(np.float32)

V2: Json = {"mm_projector_lr": None}
LIT_GPT: Json = {
    "_mlp_class": "LLaMAMLP",
    "_norm_class": "RMSNorm",
    "bias": False,
    "block_size": 2048,
    "gelu_approximate": "none",
    "lm_head_bias": False,
    "n_embd": 2560,
    "n_head": 16,
    "n_layer": 32,
    "n_query_groups": 16,
    "norm_eps": 1e-5,
    "padded_vocab_size": 32_000,
    "parallel_residual": False,
    "rope_base": 10_000,
    "rotary_percentage": 1.0,
}
"""What the 3B models' configuration also says: `n_head` is wrong, and nothing reads it."""


class Published(NamedTuple):
    """One of the five. `shards` is the number of files, `config` what differs from the others.

    Only the smallest `states_length`: the others are taken to hold 2048 positions, whatever else they say.
    """

    shape: Shape
    projector: Projector
    config: Json
    shards: int = 1
    stale: bool = False
    legacy: bool = True
    states_length: bool = False

    def with_layers(self, layers: int) -> "Published":
        """The same with another number of decoder layers."""
        return self._replace(shape=self.shape.with_layers(layers))

    def tensors(self) -> list[Tensor]:
        """In the order of the files."""
        stale = stale_tensors(self.shape) if self.stale else ()
        return [*all_tensors(self.shape, self.projector), *stale]

    def size(self) -> int:
        """Bytes of its tensors."""
        return sum(tensor.size for tensor in self.tensors())


PUBLISHED = {
    "MobileVLM-1.7B": Published(SHAPES["1.7B"], "ldpnet", {}, states_length=True),
    "MobileVLM-3B": Published(SHAPES["3B"], "ldpnet", LIT_GPT),
    "MobileVLM_V2-1.7B": Published(SHAPES["1.7B"], "ldpnetv2", V2, states_length=True),
    "MobileVLM_V2-3B": Published(SHAPES["3B"], "ldpnetv2", V2 | LIT_GPT),
    "MobileVLM_V2-7B": Published(
        SHAPES["7B"],
        "ldpnetv2",
        V2 | {"max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "transformers_version": "4.31.0"},
        shards=2,
        stale=True,
        legacy=False,
    ),
}


def write_published(model: Published, folder: Path, progress: Progress, seed: int = 0) -> Path:
    """Write the checkpoint, and beside it the CLIP folder, whose path is returned."""
    clip = folder.with_name(f"{folder.name}-{CLIP}")
    tensors, tower = model.tensors(), _tower(model)
    progress.start(model.size() + sum(2 * tensor.size for tensor in tower))
    for made in (folder, clip):
        made.mkdir(parents=True)
    _write_json(folder / "config.json", _config(model))
    _write_json(folder / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0})
    _write_json(folder / "tokenizer_config.json", {"add_bos_token": True, "legacy": model.legacy})
    (folder / "tokenizer.model").write_bytes(tokenizer_model(model.shape.vocabulary))
    _write_json(clip / "config.json", clip_config(model.shape.tower))
    if tower:
        stored = [_stored(tensor, seed, FLOAT32) for tensor in tower]
        write_torch_file(clip / "pytorch_model.bin", stored, progress.advance)
    _write_weights(folder, [_stored(tensor, seed, BFLOAT16) for tensor in tensors], model.shards, progress)
    progress.finish()
    return clip


def _config(model: Published) -> Json:
    published = {"mm_projector_type": model.projector, "torch_dtype": "bfloat16", "image_grid_pinpoints": None}
    stated = {**model_config(model.shape), **published, **model.config}
    if not model.states_length:
        del stated["max_sequence_length"]
    return stated


def _tower(model: Published) -> list[Tensor]:
    return list(_clip(model.shape.tower)) if model.projector == "ldpnet" else []


def _clip(tower: Tower) -> Iterator[Tensor]:
    """The vision tower, and of the half that reads text as much as must be left out by name."""
    yield from tower_tensors(tower, "vision_model.")
    yield Tensor("text_model.final_layer_norm.weight", (tower.width,), 1, 0.05)
    yield Tensor("visual_projection.weight", (tower.width, tower.width), 0, 0.02)
    yield Tensor("text_projection.weight", (tower.width, tower.width), 0, 0.02)
    yield Tensor("logit_scale", (1,), 0, 1)


def _stored(tensor: Tensor, seed: int, dtype: np.dtype[np.generic]) -> Stored:
    return Stored(tensor.name, tensor.shape, dtype, lambda: draw(tensor, seed, dtype))


def _write_weights(folder: Path, tensors: Sequence[Stored], shards: int, progress: Progress) -> None:
    if shards == 1:
        write_torch_file(folder / "pytorch_model.bin", tensors, progress.advance)
        return
    places: dict[str, str] = {}
    # the first of the published ones holds about seven tenths
    cut = len(tensors) * 7 // 10
    for index, part in enumerate((tensors[:cut], tensors[cut:]), 1):
        name = f"pytorch_model-{index:05}-of-{shards:05}.bin"
        write_torch_file(folder / name, part, progress.advance)
        places |= dict.fromkeys((tensor.name for tensor in part), name)
    size = sum(int(np.prod(tensor.shape)) * tensor.dtype.itemsize for tensor in tensors)
    _write_json(folder / "pytorch_model.bin.index.json", {"metadata": {"total_size": size}, "weight_map": places})


def _write_json(path: Path, content: Json) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
