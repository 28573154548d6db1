"""Which tensors a published MobileVLM checkpoint holds, and how each is drawn. Knows no files.

Deviations follow from the sizes, as in a fresh model: matmuls keep the scale of their input, and what is added to
the residual stream is smaller the more layers add to it. So activations stay finite at any depth and logits near one.
"""

import math
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from edgevlm_engines.manifest import Projector
from numpy.typing import DTypeLike, NDArray

from benchmarks.shapes import Shape, Tower

TOWER = "model.vision_tower.vision_tower.vision_model."
PROJECTOR = "model.mm_projector."


class Tensor(NamedTuple):
    """A tensor of independent normal values; a matrix is `(outputs, inputs)`."""

    name: str
    shape: tuple[int, ...]
    mean: float
    deviation: float

    @property
    def size(self) -> int:
        """Bytes in float16 or bfloat16."""
        return 2 * math.prod(self.shape)


def all_tensors(shape: Shape, projector: Projector = "ldpnetv2") -> Iterator[Tensor]:
    """Every tensor of the checkpoint, in the order of its file."""
    yield _matrix("model.embed_tokens", shape.vocabulary, shape.width)
    for index in range(shape.layers):
        yield from _decoder_layer(shape, f"model.layers.{index}.")
    yield _scale("model.norm", shape.width)
    yield _matrix("lm_head", shape.vocabulary, shape.width)
    yield from tower_tensors(shape.tower, TOWER)
    yield from _ldpv2(shape) if projector == "ldpnetv2" else _ldp(shape)


def stale_tensors(shape: Shape) -> Iterator[Tensor]:
    """What the published 7B holds and nobody should read: rotary frequencies, too coarse as they are stored."""
    for index in range(shape.layers):
        yield Tensor(f"model.layers.{index}.self_attn.rotary_emb.inv_freq", (shape.width // shape.heads // 2,), 0, 1)


def draw(tensor: Tensor, seed: int, dtype: DTypeLike = np.float16) -> NDArray[Any]:
    """The values of a tensor. They depend on its name, so no two layers hold the same.

    ONNX Runtime keeps one copy of equal weights: a model that repeats a layer would be measured in the cache.
    """
    generator = np.random.default_rng([seed, zlib.crc32(tensor.name.encode())])
    values = generator.standard_normal(tensor.shape, dtype=np.float32)
    values *= np.float32(tensor.deviation)
    values += np.float32(tensor.mean)
    return values.astype(dtype)


def _decoder_layer(shape: Shape, prefix: str) -> Iterator[Tensor]:
    width, inner, damping = shape.width, shape.inner, _damping(shape.layers)
    yield _scale(f"{prefix}input_layernorm", width)
    for name in ("q_proj", "k_proj", "v_proj"):
        yield _matrix(f"{prefix}self_attn.{name}", width, width)
    yield _matrix(f"{prefix}self_attn.o_proj", width, width, damping)
    yield _scale(f"{prefix}post_attention_layernorm", width)
    for name in ("gate_proj", "up_proj"):
        yield _matrix(f"{prefix}mlp.{name}", inner, width)
    yield _matrix(f"{prefix}mlp.down_proj", width, inner, damping)


def tower_tensors(tower: Tower, prefix: str) -> Iterator[Tensor]:
    """A CLIP vision tower, all of its layers."""
    width, kernel = tower.width, (3, tower.patch, tower.patch)
    yield _bias(f"{prefix}embeddings.class_embedding", width)
    yield Tensor(f"{prefix}embeddings.patch_embedding.weight", (width, *kernel), 0, math.prod(kernel) ** -0.5)
    yield _matrix(f"{prefix}embeddings.position_embedding", tower.positions, width)
    yield from _norm(f"{prefix}pre_layrnorm", width)
    for index in range(tower.layers):
        yield from _tower_layer(tower, f"{prefix}encoder.layers.{index}.")
    yield from _norm(f"{prefix}post_layernorm", width)


def _tower_layer(tower: Tower, prefix: str) -> Iterator[Tensor]:
    width, inner, damping = tower.width, tower.inner, _damping(tower.layers)
    for name in ("q_proj", "k_proj", "v_proj"):
        yield from _linear(f"{prefix}self_attn.{name}", width, width)
    yield from _linear(f"{prefix}self_attn.out_proj", width, width, damping)
    yield from _norm(f"{prefix}layer_norm1", width)
    yield from _linear(f"{prefix}mlp.fc1", inner, width)
    yield from _linear(f"{prefix}mlp.fc2", width, inner, damping)
    yield from _norm(f"{prefix}layer_norm2", width)


def _ldpv2(shape: Shape) -> Iterator[Tensor]:
    width = shape.width
    yield from _linear(f"{PROJECTOR}mlp.mlp.0", width, shape.tower.width)
    yield from _linear(f"{PROJECTOR}mlp.mlp.2", width, width)
    yield Tensor(f"{PROJECTOR}peg.peg.0.weight", (width, 1, 3, 3), 0, 1 / 3)
    yield _bias(f"{PROJECTOR}peg.peg.0.bias", width)


def _ldp(shape: Shape) -> Iterator[Tensor]:
    """V1's: two blocks of a depthwise convolution, squeeze-excitation and a pointwise one."""
    width, prefix = shape.width, f"{PROJECTOR}model."
    yield from _linear(f"{prefix}mlp.1", width, shape.tower.width)
    yield from _linear(f"{prefix}mlp.3", width, width)
    for block in (f"{prefix}mb_block.{index}.block." for index in (1, 2)):
        yield Tensor(f"{block}0.0.weight", (width, 1, 3, 3), 0, 1 / 3)
        yield from _norm(f"{block}0.1", width)
        for name, outputs, inputs in (("fc1", width // 4, width), ("fc2", width, width // 4)):
            yield _pointwise(f"{block}1.{name}", outputs, inputs)
            yield _bias(f"{block}1.{name}.bias", outputs)
        yield _pointwise(f"{block}2.0", width, width)
        yield from _norm(f"{block}2.1", width)


def _damping(layers: int) -> float:
    # two branches a layer add to the stream
    return float((2 * layers) ** -0.5)


def _linear(path: str, outputs: int, inputs: int, damping: float = 1) -> Iterator[Tensor]:
    yield _matrix(path, outputs, inputs, damping)
    yield _bias(f"{path}.bias", outputs)


def _norm(path: str, width: int) -> Iterator[Tensor]:
    yield _scale(path, width)
    yield _bias(f"{path}.bias", width)


def _matrix(path: str, outputs: int, inputs: int, damping: float = 1) -> Tensor:
    return Tensor(f"{path}.weight", (outputs, inputs), 0, damping * inputs**-0.5)


def _pointwise(path: str, outputs: int, inputs: int) -> Tensor:
    return Tensor(f"{path}.weight", (outputs, inputs, 1, 1), 0, inputs**-0.5)


def _scale(path: str, width: int) -> Tensor:
    return Tensor(f"{path}.weight", (width,), 1, 0.05)


def _bias(name: str, width: int) -> Tensor:
    return Tensor(name, (width,), 0, 0.02)
