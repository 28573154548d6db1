"""Attention in basic operators, where TensorRT has no operator or no kernel for it. Knows no cache and no weights.

Heads that share keys become rows of one matmul: `R` rows are `S` positions for each of them, head by head.
"""

import onnx_ir as ir

from edgevlm_export.checkpoint.config import ModelConfig
from edgevlm_export.graph.writer import GraphWriter

MASKED = -60000.0
"""Within float16, and its exponential is 0 beside any score."""


class WrittenAttention:
    """Attention of one graph's layers, which share its constants."""

    def __init__(self, graph: GraphWriter, config: ModelConfig) -> None:
        self._graph, self._config = graph, config
        self._masked = graph.scalar(MASKED)

    def rows(self, query: ir.Value) -> ir.Value:
        """`[B, heads, S, head_dim]` -> `[B, kv_heads, R, head_dim]`."""
        return self._reshaped(query, self._config.kv_heads)

    def heads(self, attended: ir.Value) -> ir.Value:
        """The way back."""
        return self._reshaped(attended, self._config.heads)

    def scores(self, rows: ir.Value, keys: ir.Value, seen: ir.Value) -> ir.Value:
        """`[B, kv_heads, R, W]`. A masked one is replaced, not lowered: unused positions may hold large values."""
        graph = self._graph
        scores = graph.op("MatMul", rows, graph.op("Transpose", keys, perm=[0, 1, 3, 2]))
        return graph.op("Where", seen, scores, self._masked)

    def weights(self, scores: ir.Value) -> ir.Value:
        """Softmax over the last dimension, in float32 as upstream has it."""
        graph = self._graph
        return graph.to_own_type(graph.op("Softmax", graph.to_float32(scores), axis=3))

    def attend(self, query: ir.Value, keys: ir.Value, values: ir.Value, seen: ir.Value) -> ir.Value:
        """`[B, heads, S, head_dim]` over keys and values `[B, kv_heads, W, head_dim]`; `seen` is `[B, 1, R, W]`."""
        weights = self.weights(self.scores(self.rows(query), keys, seen))
        return self.heads(self._graph.op("MatMul", weights, values))

    def _reshaped(self, heads: ir.Value, count: int) -> ir.Value:
        return self._graph.op("Reshape", heads, self._graph.shape_op([0, count, -1, self._config.head_dim]))
