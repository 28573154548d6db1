"""Which tensors a published MobileVLM V2 checkpoint holds, and how each is drawn. Knows no files.

Deviations follow from the sizes, as in a fresh model: matmuls keep the scale of their input, and what is added to
the residual stream is smaller the more layers add to it. So activations stay finite at any depth and logits near one.
"""

import math
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
        """Bytes in float16."""
        return 2 * math.prod(self.shape)


def all_tensors(shape: Shape) -> Iterator[Tensor]:
    """Every tensor of the checkpoint, in the order of its file."""
    yield _matrix("model.embed_tokens", shape.vocabulary, shape.width)
    for index in range(shape.layers):
        yield from _decoder_layer(shape, f"model.layers.{index}.")
    yield _scale("model.norm", shape.width)
    yield _matrix("lm_head", shape.vocabulary, shape.width)
    yield from _tower(shape.tower)
    yield from _projector(shape)


def draw(tensor: Tensor, seed: int) -> NDArray[np.float16]:
    """The values of a tensor. They depend on its name, so no two layers hold the same.

    ONNX Runtime keeps one copy of equal weights: a model that repeats a layer would be measured in the cache.
    """
    generator = np.random.default_rng([seed, zlib.crc32(tensor.name.encode())])
    values = generator.standard_normal(tensor.shape, dtype=np.float32)
    values *= np.float32(tensor.deviation)
    values += np.float32(tensor.mean)
    return values.astype(np.float16)


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


def _tower(tower: Tower) -> Iterator[Tensor]:
    width, kernel = tower.width, (3, tower.patch, tower.patch)
    yield _bias(f"{TOWER}embeddings.class_embedding", width)
    yield Tensor(f"{TOWER}embeddings.patch_embedding.weight", (width, *kernel), 0, math.prod(kernel) ** -0.5)
    yield _matrix(f"{TOWER}embeddings.position_embedding", tower.positions, width)
    yield from _norm(f"{TOWER}pre_layrnorm", width)
    for index in range(tower.layers):
        yield from _tower_layer(tower, f"{TOWER}encoder.layers.{index}.")
    yield from _norm(f"{TOWER}post_layernorm", width)


def _tower_layer(tower: Tower, prefix: str) -> Iterator[Tensor]:
    width, inner, damping = tower.width, tower.inner, _damping(tower.layers)
    for name in ("q_proj", "k_proj", "v_proj"):
        yield from _linear(f"{prefix}self_attn.{name}", width, width)
    yield from _linear(f"{prefix}self_attn.out_proj", width, width, damping)
    yield from _norm(f"{prefix}layer_norm1", width)
    yield from _linear(f"{prefix}mlp.fc1", inner, width)
    yield from _linear(f"{prefix}mlp.fc2", width, inner, damping)
    yield from _norm(f"{prefix}layer_norm2", width)


def _projector(shape: Shape) -> Iterator[Tensor]:
    width = shape.width
    yield from _linear(f"{PROJECTOR}mlp.mlp.0", width, shape.tower.width)
    yield from _linear(f"{PROJECTOR}mlp.mlp.2", width, width)
    yield Tensor(f"{PROJECTOR}peg.peg.0.weight", (width, 1, 3, 3), 0, 1 / 3)
    yield _bias(f"{PROJECTOR}peg.peg.0.bias", width)


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


def _scale(path: str, width: int) -> Tensor:
    return Tensor(f"{path}.weight", (width,), 1, 0.05)


def _bias(name: str, width: int) -> Tensor:
    return Tensor(name, (width,), 0, 0.02)
