"""The decoder's parts for TensorRT from 10.15, with its operators for cache, rotary embedding, attention and RMSNorm.

The cache is updated in place: past and present of a layer are bound to one address. Attention gets its mask from the
graph and nothing else: TensorRT parses and then ignores the operator's own lengths, and takes its causal flag to mean
that the first query sees the first key alone. For heads of a size that it has no attention kernel for, attention is
written out instead.
"""

import onnx_ir as ir

from edgevlm_export.checkpoint.config import ModelConfig
from edgevlm_export.graph.decoder import cache_shape, past_inputs, rope_weights
from edgevlm_export.graph.trt.decoder_blocks import TrtDecoderParts, cut_to_window, join_heads, scaled, split_heads
from edgevlm_export.graph.trt.written_attention import WrittenAttention
from edgevlm_export.graph.writer import GraphWriter

HEADS_WITH_A_KERNEL = frozenset({16, 32, 64, 128})
"""Sizes of a head whose attention ran on a GPU as it should. For 80 the builder found no kernel there and took the
operator apart by itself, which cost accuracy, and crashed with CUDA graphs."""


class NativeDecoderParts(TrtDecoderParts):
    """Outputs: `present_key.i` / `present_value.i`, shaped as the past."""

    def __init__(self, graph: GraphWriter, config: ModelConfig) -> None:
        super().__init__(graph, config)
        self._tables = rope_weights(graph, config)
        # [B, 1, S, 1] and [W]: a position is seen from itself on
        column = graph.op("Unsqueeze", self._positions.new, graph.shape_op([1, 3]))
        self._seen = graph.op("LessOrEqual", self._positions.cached, column)
        self._written = None if config.head_dim in HEADS_WITH_A_KERNEL else WrittenAttention(graph, config)
        if self._written is not None and config.heads > config.kv_heads:
            # once for each head that shares keys
            repeats = graph.shape_op([1, 1, config.heads // config.kv_heads, 1])
            self._seen = graph.op("Tile", self._seen, repeats)

    def norm(self, hidden: ir.Value, scale: ir.Value) -> ir.Value:
        # stash_type 1, the default, computes in float32: squares of large activations are beyond float16
        epsilon = self._config.rms_norm_eps
        return self._graph.op("RMSNormalization", hidden, scale, axis=-1, epsilon=epsilon, stash_type=1)

    def attend(self, index: int, packed: ir.Value) -> ir.Value:
        graph, config = self._graph, self._config
        query, key, value = split_heads(graph, config, packed)
        past_key, past_value = past_inputs(graph, config, index)
        present_key = self._joined(past_key, self._rotated(key), f"present_key.{index}")
        present_value = self._joined(past_value, value, f"present_value.{index}")
        keys, values = (
            cut_to_window(graph, present, self._positions.window) for present in (present_key, present_value)
        )
        attended = self._attended(scaled(graph, config, self._rotated(query)), keys, values)
        return join_heads(graph, attended, config.heads * config.head_dim)

    def _attended(self, query: ir.Value, keys: ir.Value, values: ir.Value) -> ir.Value:
        if self._written is not None:
            return self._written.attend(query, keys, values, self._seen)
        # TensorRT's parser multiplies queries and all keys with the scale's root: 1 leaves the keys as they are
        return self._graph.op("Attention", query, keys, values, self._seen, scale=1.0)

    def _rotated(self, heads: ir.Value) -> ir.Value:
        return self._graph.op("RotaryEmbedding", heads, *self._tables, self._positions.new, interleaved=0)

    def _joined(self, past: ir.Value, new: ir.Value, name: str) -> ir.Value:
        """TensorRT takes the update of a cache only as an output of the network."""
        present = self._graph.op("TensorScatter", past, new, self._positions.past, axis=-2, mode="linear")
        self._graph.output(present, name, cache_shape(self._config))
        return present
