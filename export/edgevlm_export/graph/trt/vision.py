"""The vision encoder's parts for TensorRT. Knows operators, no weights.

What is computed in float32 inside a float16 graph, and why, is said where it is done.
"""

import numpy as np
import onnx_ir as ir

from edgevlm_export.checkpoint.config import VisionConfig
from edgevlm_export.graph.layers import QUICK_GELU_ALPHA
from edgevlm_export.graph.writer import GraphWriter

SWAPPED = [0, 2, 1, 3]
"""Heads and positions change places."""


class BasicVisionParts:
    """Attention as two matmuls and a softmax, which TensorRT's own fusion looks for. Runs in every version."""

    def __init__(self, graph: GraphWriter, config: VisionConfig) -> None:
        self._graph, self._config = graph, config

    def layer_norm(self, hidden: ir.Value, scale: ir.Value, bias: ir.Value, epsilon: float) -> ir.Value:
        """In float32: squares of CLIP's outliers are beyond float16.

        The operator has an attribute for that, which the parser of newer TensorRT drops in a strongly typed network;
        so inputs say it.
        """
        graph = self._graph
        wide = (graph.to_float32(value) for value in (hidden, scale, bias))
        return graph.to_own_type(graph.op("LayerNormalization", *wide, axis=-1, epsilon=epsilon))

    def attend(self, packed: ir.Value) -> ir.Value:
        width = self._config.hidden_size
        graph = self._graph
        parts = graph.ops("Split", packed, graph.shape_op([width] * 3), outputs=3, axis=2)
        query, key, value = (self._heads(part) for part in parts)
        # before the matmul, not after it: scores stay within float16
        query = graph.op("Mul", query, graph.scalar(self._config.head_dim**-0.5))
        attended = graph.op("Transpose", self._attention(query, key, value), perm=SWAPPED)
        return graph.op("Reshape", attended, graph.shape_op([0, 0, width]))

    def quick_gelu(self, hidden: ir.Value) -> ir.Value:
        gate = self._graph.op("Sigmoid", self._graph.op("Mul", hidden, self._graph.scalar(QUICK_GELU_ALPHA)))
        return self._graph.op("Mul", hidden, gate)

    def gelu(self, hidden: ir.Value) -> ir.Value:
        """Written out, as its operator came with opset 20; in float32, as `1 + erf` loses its tail in float16."""
        graph = self._graph
        wide = graph.to_float32(hidden)
        root, half, one = (graph.constant(np.array(number, np.float32)) for number in (0.5**0.5, 0.5, 1))
        tail = graph.op("Add", graph.op("Erf", graph.op("Mul", wide, root)), one)
        return graph.to_own_type(graph.op("Mul", graph.op("Mul", wide, half), tail))

    def mean(self, hidden: ir.Value, axes: list[int]) -> ir.Value:
        """In float32: a sum over all patches may be beyond float16."""
        graph = self._graph
        return graph.to_own_type(graph.op("ReduceMean", graph.to_float32(hidden), graph.shape_op(axes), keepdims=1))

    def _heads(self, part: ir.Value) -> ir.Value:
        """`[n, positions, width]` -> `[n, heads, positions, head_dim]`."""
        sizes = self._graph.shape_op([0, 0, self._config.heads, self._config.head_dim])
        return self._graph.op("Transpose", self._graph.op("Reshape", part, sizes), perm=SWAPPED)

    def _attention(self, query: ir.Value, key: ir.Value, value: ir.Value) -> ir.Value:
        graph = self._graph
        scores = graph.op("MatMul", query, graph.op("Transpose", key, perm=[0, 1, 3, 2]))
        return graph.op("MatMul", graph.op("Softmax", scores, axis=3), value)


class FusedVisionParts(BasicVisionParts):
    """Attention as one operator, from opset 23 on: TensorRT runs it in one kernel or refuses to build it.

    Its kernels are for float16 alone. Whether the written-out form is fused is up to TensorRT; where it is not,
    scores and weights of all heads and patches go through memory.
    """

    def _attention(self, query: ir.Value, key: ir.Value, value: ir.Value) -> ir.Value:
        # TensorRT's parser multiplies queries and keys with the root of the scale: 1 leaves them as they are
        return self._graph.op("Attention", query, key, value, scale=1.0)


def native_vision_parts(graph: GraphWriter, config: VisionConfig) -> BasicVisionParts:
    """The fused form where TensorRT has kernels for it."""
    return (FusedVisionParts if graph.dtype == np.float16 else BasicVisionParts)(graph, config)
