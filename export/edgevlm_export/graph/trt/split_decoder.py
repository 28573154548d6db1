"""The decoder's parts in basic operators, for TensorRT before 10.15: the cache is read, and written by the runtime.

New keys and values come out; whoever runs the graph appends them at `past_length[b]`. Attention is over two pieces,
the cache and the new positions, with one softmax over both.
"""

import numpy as np
import onnx_ir as ir

from edgevlm_export.checkpoint.config import ModelConfig
from edgevlm_export.graph.decoder import cache_shape, past_inputs, rope_weights
from edgevlm_export.graph.trt.decoder_blocks import TrtDecoderParts, cut_to_window, join_heads, scaled, split_heads
from edgevlm_export.graph.trt.written_attention import WrittenAttention
from edgevlm_export.graph.writer import GraphWriter

BEYOND_FLOAT16 = 1e6

LAST = int(np.iinfo(np.int64).max)


class SplitDecoderParts(TrtDecoderParts):
    """Outputs: `new_key.i` / `new_value.i` `[B, kv_heads, S, head_dim]`."""

    def __init__(self, graph: GraphWriter, config: ModelConfig) -> None:
        super().__init__(graph, config)
        positions = self._positions
        self._epsilon = graph.constant(np.array(config.rms_norm_eps, np.float32))
        self._nothing = graph.scalar(0.0)
        self._attention = WrittenAttention(graph, config)
        # `[B, 1, S, head_dim / 2]`, the same for all layers
        self._cos, self._sin = (
            graph.op("Unsqueeze", graph.op("Gather", table, positions.new, axis=0), graph.shape_op([1]))
            for table in rope_weights(graph, config)
        )
        past_column = graph.op("Unsqueeze", positions.past, graph.shape_op([1, 2, 3]))
        self._cached = graph.op("Less", positions.cached, past_column)
        """Which positions of the cache hold something, `[B, 1, 1, W]`."""
        self._held = graph.op("Transpose", self._cached, perm=[0, 1, 3, 2])
        rows = graph.op("Tile", positions.steps, graph.shape_op([config.heads // config.kv_heads]))
        self._causal = graph.op("LessOrEqual", positions.steps, graph.op("Unsqueeze", rows, graph.shape_op([1])))
        """Which new positions a query sees, `[R, S]`: R rows are S positions for each head that shares keys."""

    def norm(self, hidden: ir.Value, scale: ir.Value) -> ir.Value:
        """In float32: squares of large activations are beyond float16."""
        graph = self._graph
        wide = graph.to_float32(hidden)
        mean = graph.op("ReduceMean", graph.op("Mul", wide, wide), graph.shape_op([-1]), keepdims=1)
        root = graph.op("Sqrt", graph.op("Add", mean, self._epsilon))
        return graph.op("Mul", graph.to_own_type(graph.op("Div", wide, root)), scale)

    def attend(self, index: int, packed: ir.Value) -> ir.Value:
        graph, config = self._graph, self._config
        query, key, value = split_heads(graph, config, packed)
        key = self._rotated(key)
        rows = self._attention.rows(scaled(graph, config, self._rotated(query)))
        past_key, past_value = self._past(index, rows)
        on_cache, on_new = self._weights(rows, past_key, key)
        attended = graph.op("Add", graph.op("MatMul", on_cache, past_value), graph.op("MatMul", on_new, value))
        new_shape = cache_shape(config, "sequence")
        graph.output(key, f"new_key.{index}", new_shape)
        graph.output(value, f"new_value.{index}", new_shape)
        return join_heads(graph, self._attention.heads(attended), config.heads * config.head_dim)

    def _past(self, index: int, rows: ir.Value) -> tuple[ir.Value, ir.Value]:
        """The window of a layer's cache, with zeros where a slot holds nothing.

        The condition also asks for something that every number in `rows` fulfils. Without that TensorRT-RTX copies
        the windows of all layers before it begins with the first (with 8 slots of 2048 positions of the 1.7B shape
        67 MB for keys, as much for values); with it a layer's copy waits for the layer, and one place serves all.
        """
        graph = self._graph
        one = graph.op("Slice", rows, graph.shape_op([0, 0, 0]), graph.shape_op([1, 1, 1]), graph.shape_op([1, 2, 3]))
        limit = graph.constant(np.array(BEYOND_FLOAT16, np.float32))
        held = graph.op("And", graph.op("Less", graph.to_float32(one), limit), self._held)
        pasts = past_inputs(graph, self._config, index)
        key, value = (
            graph.op("Where", held, cut_to_window(graph, past, self._positions.window), self._nothing)
            for past in pasts
        )
        return key, value

    def _rotated(self, heads: ir.Value) -> ir.Value:
        """Rotary embedding of `[B, heads, S, head_dim]`: its halves are the two coordinates that are rotated."""
        graph, half = self._graph, self._config.head_dim // 2
        one, two = graph.ops("Split", heads, graph.shape_op([half, half]), outputs=2, axis=3)
        first = graph.op("Sub", graph.op("Mul", one, self._cos), graph.op("Mul", two, self._sin))
        second = graph.op("Add", graph.op("Mul", two, self._cos), graph.op("Mul", one, self._sin))
        return graph.op("Concat", first, second, axis=3)

    def _weights(self, rows: ir.Value, past_key: ir.Value, key: ir.Value) -> tuple[ir.Value, ir.Value]:
        """One softmax over cache and new positions: `[B, kv_heads, R, W]` and `[B, kv_heads, R, S]`."""
        graph, attention = self._graph, self._attention
        pieces = (attention.scores(rows, past_key, self._cached), attention.scores(rows, key, self._causal))
        weights = attention.weights(graph.op("Concat", *pieces, axis=3))
        axis = graph.shape_op([3])
        on_cache = graph.op("Slice", weights, graph.shape_op([0]), self._positions.window, axis)
        return on_cache, graph.op("Slice", weights, self._positions.window, graph.shape_op([LAST]), axis)
