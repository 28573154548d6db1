"""The vision encoder's parts for ONNX Runtime, with its own operators. Knows them, no weights."""

import onnx_ir as ir

from edgevlm_export.checkpoint.config import VisionConfig
from edgevlm_export.graph.layers import QUICK_GELU_ALPHA
from edgevlm_export.graph.writer import CONTRIB, GraphWriter


class OrtVisionParts:
    def __init__(self, graph: GraphWriter, config: VisionConfig) -> None:
        self._graph, self._heads = graph, config.heads

    def layer_norm(self, hidden: ir.Value, scale: ir.Value, bias: ir.Value, epsilon: float) -> ir.Value:
        return self._graph.op("LayerNormalization", hidden, scale, bias, axis=-1, epsilon=epsilon)

    def attend(self, packed: ir.Value) -> ir.Value:
        query, key, value = self._graph.ops("Split", packed, outputs=3, axis=2, num_outputs=3)
        return self._graph.op("MultiHeadAttention", query, key, value, domain=CONTRIB, num_heads=self._heads)

    def quick_gelu(self, hidden: ir.Value) -> ir.Value:
        return self._graph.op("QuickGelu", hidden, domain=CONTRIB, alpha=QUICK_GELU_ALPHA)

    def gelu(self, hidden: ir.Value) -> ir.Value:
        return self._graph.op("Gelu", hidden, approximate="none")

    def mean(self, hidden: ir.Value, axes: list[int]) -> ir.Value:
        return self._graph.op("ReduceMean", hidden, self._graph.shape_op(axes), keepdims=1)
