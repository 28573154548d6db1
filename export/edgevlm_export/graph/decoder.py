"""The LLaMA decoder as a graph: embeddings and cache in, last position's logits and cache out.

One walk over the layers for every runtime. Knows weights and their order; how norms, attention over the cache and
activations are written is what `DecoderParts` hides, one implementation a flavour.
"""

from typing import Protocol

import numpy as np
import onnx_ir as ir
from edgevlm_engines.graph_names import CAPACITY

from edgevlm_export.checkpoint.config import ModelConfig
from edgevlm_export.graph.weights import Weights
from edgevlm_export.graph.writer import Array, Dimension, GraphWriter


class DecoderParts(Protocol):
    """The operators of one runtime. An object belongs to one graph; making it declares all inputs but the cache."""

    @property
    def hidden(self) -> ir.Value:
        """The input of that name."""
        ...

    def norm(self, hidden: ir.Value, scale: ir.Value) -> ir.Value:
        """RMSNorm over the last dimension."""
        ...

    def add_and_norm(self, hidden: ir.Value, update: ir.Value, scale: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Residual sum and its norm: `(norm(hidden + update), hidden + update)`."""
        ...

    def attend(self, index: int, packed: ir.Value) -> ir.Value:
        """Queries, keys and values side by side -> `[B, S, heads * head_dim]`.

        Rotates them by their positions, joins them with the cache of layer `index`, and declares that cache as inputs
        and what becomes of it as outputs.
        """
        ...

    def gate(self, packed: ir.Value) -> ir.Value:
        """SwiGLU's middle: gate and up side by side -> `silu(gate) * up`."""
        ...


def write_decoder(
    graph: GraphWriter, parts: DecoderParts, weights: Weights, head: Weights, config: ModelConfig
) -> None:
    """Write the whole decoder. B slots, each of which takes S new positions and holds C at most (its capacity).

    Inputs: `hidden` `[B, S, hidden_size]`; those of the parts, which say how long each slot is; `past_key.i` /
    `past_value.i` `[B, kv_heads, C, head_dim]`. Outputs: `logits` float32 `[B, vocab_size]`; those of the parts.
    `weights` is at the root of the checkpoint, and so is `head`, whose matmul may have another precision.
    """
    width, hidden = config.hidden_size, parts.hidden
    layers = weights.below("model.layers")
    normed = parts.norm(hidden, layers.tensor("0.input_layernorm.weight", (width,)))
    for index in range(config.layers):
        layer = layers.below(str(index))
        last = index + 1 == config.layers
        next_norm = (
            weights.tensor("model.norm.weight", (width,))
            if last
            else layers.tensor(f"{index + 1}.input_layernorm.weight", (width,))
        )
        with graph.scope(f"layer{index}"):
            attended = _attention(layer.below("self_attn"), config, parts, index, normed)
            post_norm = layer.tensor("post_attention_layernorm.weight", (width,))
            normed, hidden = parts.add_and_norm(hidden, attended, post_norm)
            normed, hidden = parts.add_and_norm(hidden, _mlp(layer.below("mlp"), config, parts, normed), next_norm)
    _head(graph, head, config, normed)


def hidden_input(graph: GraphWriter, config: ModelConfig) -> ir.Value:
    """Embeddings of the new positions, `[B, S, hidden_size]`."""
    return graph.input("hidden", ("batch", "sequence", config.hidden_size))


def past_inputs(graph: GraphWriter, config: ModelConfig, index: int) -> tuple[ir.Value, ir.Value]:
    """A layer's cache as it was before the call, each `[B, kv_heads, C, head_dim]`."""
    shape = cache_shape(config)
    return graph.input(f"past_key.{index}", shape), graph.input(f"past_value.{index}", shape)


def cache_shape(config: ModelConfig, positions: str = CAPACITY) -> tuple[Dimension, ...]:
    """One side of a layer's cache, or of as many positions as the named dimension has."""
    return ("batch", config.kv_heads, positions, config.head_dim)


def rope_tables(config: ModelConfig) -> tuple[Array, Array]:
    """Cosines and sines `[max_length, head_dim / 2]`, float32, as LLaMA's rotary embedding has them."""
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
    # numpy's float32 power is off by one unit in a tenth of the places, and position 2047 multiplies that error
    powers = np.power(config.rope_theta, exponents.astype(np.float64)).astype(np.float32)
    frequencies = np.float32(1) / powers
    angles = np.outer(np.arange(config.max_length, dtype=np.float32), frequencies)
    return np.cos(angles), np.sin(angles)


def rope_weights(graph: GraphWriter, config: ModelConfig) -> tuple[ir.Value, ir.Value]:
    """Both tables as initializers of the graph's type, which is how upstream multiplies with them."""
    cos, sin = rope_tables(config)
    return graph.weight("rope.cos", cos.shape, lambda: cos), graph.weight("rope.sin", sin.shape, lambda: sin)


def _attention(weights: Weights, config: ModelConfig, parts: DecoderParts, index: int, normed: ir.Value) -> ir.Value:
    query_size, kv_size = config.heads * config.head_dim, config.kv_heads * config.head_dim
    names, sizes = ("q_proj", "k_proj", "v_proj"), (query_size, kv_size, kv_size)
    packed = weights.packed_linear(normed, names, config.hidden_size, sizes, "qkv_proj")
    return weights.linear(parts.attend(index, packed), "o_proj", query_size, config.hidden_size)


def _mlp(weights: Weights, config: ModelConfig, parts: DecoderParts, normed: ir.Value) -> ir.Value:
    """SwiGLU: `down(silu(gate(x)) * up(x))`."""
    inner = config.intermediate_size
    packed = weights.packed_linear(
        normed, ("gate_proj", "up_proj"), config.hidden_size, (inner, inner), "gate_up_proj"
    )
    return weights.linear(parts.gate(packed), "down_proj", inner, config.hidden_size)


def _head(graph: GraphWriter, head: Weights, config: ModelConfig, normed: ir.Value) -> None:
    """Logits of the last position only: the others are never sampled from."""
    last = graph.op("Gather", normed, graph.constant(np.array(-1, np.int64)), axis=1)
    logits = head.linear(last, "lm_head", config.hidden_size, config.vocab_size)
    graph.output(graph.to_float32(logits), "logits", ("batch", config.vocab_size), np.float32)
