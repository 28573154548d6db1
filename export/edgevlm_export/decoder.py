"""The LLaMA decoder as a graph for ONNX Runtime: embeddings and cache in, last position's logits and cache out.

Fused for the runtime: QKV and gate/up are one product each, residual sums and norms one node, attention with
rotary embedding and cache update is GroupQueryAttention. Past and present of a layer may be the same buffer.
"""

import numpy as np
import onnx_ir as ir

from edgevlm_export.config import ModelConfig
from edgevlm_export.graph import CONTRIB, Array, GraphWriter
from edgevlm_export.weights import Weights


def write_decoder(graph: GraphWriter, weights: Weights, head: Weights, config: ModelConfig) -> None:
    """Write the whole decoder. B rows, S new positions a row (rows of one call take the same number), C capacity.

    Inputs: `hidden` `[B, S, hidden_size]`; `last_position` int32 `[B]`, the index of each row's last new position;
    `total_length` int32 scalar, the largest length after the call; `past_key.i` / `past_value.i`
    `[B, kv_heads, C, head_dim]`. Outputs: `logits` float32 `[B, vocab_size]`, `present_key.i` / `present_value.i`.
    `weights` stands at the root of the checkpoint, and so does `head`, whose products may have another precision.
    """
    hidden = graph.input("hidden", ("batch", "sequence", config.hidden_size))
    last_position = graph.input("last_position", ("batch",), np.int32)
    total_length = graph.input("total_length", (), np.int32)
    cos_table, sin_table = rope_tables(config)
    cos = graph.weight("rope.cos", cos_table.shape, lambda: cos_table)
    sin = graph.weight("rope.sin", sin_table.shape, lambda: sin_table)

    layers = weights.below("model.layers")
    normed = graph.op(
        "SimplifiedLayerNormalization",
        hidden,
        layers.tensor("0.input_layernorm.weight", (config.hidden_size,)),
        axis=-1,
        epsilon=config.rms_norm_eps,
    )
    for index in range(config.layers):
        layer = layers.below(str(index))
        last = index + 1 == config.layers
        next_norm = (
            weights.tensor("model.norm.weight", (config.hidden_size,))
            if last
            else layers.tensor(f"{index + 1}.input_layernorm.weight", (config.hidden_size,))
        )
        with graph.scope(f"layer{index}"):
            attended = _attention(
                graph,
                layer.below("self_attn"),
                config,
                index,
                normed,
                (last_position, total_length, cos, sin),
            )
            post_norm = layer.tensor("post_attention_layernorm.weight", (config.hidden_size,))
            normed, hidden = _add_and_norm(graph, config, hidden, attended, post_norm)
            mlp = _mlp(graph, layer.below("mlp"), config, normed)
            normed, hidden = _add_and_norm(graph, config, hidden, mlp, next_norm)
    _head(graph, head, config, normed)


def rope_tables(config: ModelConfig) -> tuple[Array, Array]:
    """Cosines and sines `[max_length, head_dim / 2]`, float32, as LLaMA's rotary embedding has them."""
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
    # numpy's float32 power is off by one unit in a tenth of the places, and position 2047 multiplies that error
    powers = np.power(config.rope_theta, exponents.astype(np.float64)).astype(np.float32)
    frequencies = np.float32(1) / powers
    angles = np.outer(np.arange(config.max_length, dtype=np.float32), frequencies)
    return np.cos(angles), np.sin(angles)


def _attention(
    graph: GraphWriter,
    weights: Weights,
    config: ModelConfig,
    index: int,
    normed: ir.Value,
    shared: tuple[ir.Value, ir.Value, ir.Value, ir.Value],
) -> ir.Value:
    last_position, total_length, cos, sin = shared
    query_size, kv_size = config.heads * config.head_dim, config.kv_heads * config.head_dim
    names, sizes = ("q_proj", "k_proj", "v_proj"), (query_size, kv_size, kv_size)
    packed = weights.packed_linear(normed, names, config.hidden_size, sizes, "qkv_proj")
    cache_shape = ("batch", config.kv_heads, "capacity", config.head_dim)
    attended, present_key, present_value = graph.ops(
        "GroupQueryAttention",
        packed,
        None,
        None,
        graph.input(f"past_key.{index}", cache_shape),
        graph.input(f"past_value.{index}", cache_shape),
        last_position,
        total_length,
        cos,
        sin,
        outputs=3,
        domain=CONTRIB,
        num_heads=config.heads,
        kv_num_heads=config.kv_heads,
        do_rotary=1,
        rotary_interleaved=0,
    )
    graph.output(present_key, f"present_key.{index}", cache_shape)
    graph.output(present_value, f"present_value.{index}", cache_shape)
    return weights.linear(attended, "o_proj", query_size, config.hidden_size)


def _mlp(graph: GraphWriter, weights: Weights, config: ModelConfig, normed: ir.Value) -> ir.Value:
    """SwiGLU: `down(silu(gate(x)) * up(x))`."""
    inner = config.intermediate_size
    packed = weights.packed_linear(
        normed, ("gate_proj", "up_proj"), config.hidden_size, (inner, inner), "gate_up_proj"
    )
    gate, up = graph.ops("Split", packed, outputs=2, axis=2, num_outputs=2)
    # QuickGelu is x * sigmoid(alpha * x): with alpha 1 it is SiLU in one node
    activated = graph.op("Mul", graph.op("QuickGelu", gate, domain=CONTRIB, alpha=1.0), up)
    return weights.linear(activated, "down_proj", inner, config.hidden_size)


def _add_and_norm(
    graph: GraphWriter, config: ModelConfig, hidden: ir.Value, update: ir.Value, norm: ir.Value
) -> tuple[ir.Value, ir.Value]:
    """Residual sum and its RMSNorm in one node: `(norm(hidden + update), hidden + update)`."""
    normed, mean, deviation, total = graph.ops(
        "SkipSimplifiedLayerNormalization",
        hidden,
        update,
        norm,
        outputs=4,
        domain=CONTRIB,
        epsilon=config.rms_norm_eps,
    )
    # the two outputs for training are left out
    mean.name = deviation.name = ""
    return normed, total


def _head(graph: GraphWriter, head: Weights, config: ModelConfig, normed: ir.Value) -> None:
    """Logits of the last position only: the others are never sampled from."""
    last = graph.op("Gather", normed, graph.constant(np.array(-1, np.int64)), axis=1)
    logits = head.linear(last, "lm_head", config.hidden_size, config.vocab_size)
    graph.output(graph.to_float32(logits), "logits", ("batch", config.vocab_size), np.float32)
