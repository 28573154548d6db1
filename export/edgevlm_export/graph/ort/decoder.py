"""The decoder's parts for ONNX Runtime, fused as far as its own operators go. Knows them, no weights.

Residual sum and norm are one node; attention with rotary embedding and cache update is GroupQueryAttention. Past and
present of a layer may be the same buffer.
"""

import numpy as np
import onnx_ir as ir

from edgevlm_export.checkpoint.config import ModelConfig
from edgevlm_export.graph.decoder import cache_shape, hidden_input, past_inputs, rope_weights
from edgevlm_export.graph.writer import CONTRIB, GraphWriter


class OrtDecoderParts:
    """Inputs: `last_position` int32 `[B]`, the index of each slot's last new position; `total_length` int32 scalar,
    the largest length after the call. Outputs: `present_key.i` / `present_value.i`, shaped as the past."""

    def __init__(self, graph: GraphWriter, config: ModelConfig) -> None:
        self._graph, self._config = graph, config
        self.hidden = hidden_input(graph, config)
        last_position = graph.input("last_position", ("batch",), np.int32)
        total_length = graph.input("total_length", (), np.int32)
        self._shared = (last_position, total_length, *rope_weights(graph, config))

    def norm(self, hidden: ir.Value, scale: ir.Value) -> ir.Value:
        epsilon = self._config.rms_norm_eps
        return self._graph.op("SimplifiedLayerNormalization", hidden, scale, axis=-1, epsilon=epsilon)

    def add_and_norm(self, hidden: ir.Value, update: ir.Value, scale: ir.Value) -> tuple[ir.Value, ir.Value]:
        normed, mean, deviation, total = self._graph.ops(
            "SkipSimplifiedLayerNormalization",
            hidden,
            update,
            scale,
            outputs=4,
            domain=CONTRIB,
            epsilon=self._config.rms_norm_eps,
        )
        # the two outputs for training are left out
        mean.name = deviation.name = ""
        return normed, total

    def attend(self, index: int, packed: ir.Value) -> ir.Value:
        graph, config = self._graph, self._config
        attended, present_key, present_value = graph.ops(
            "GroupQueryAttention",
            packed,
            None,
            None,
            *past_inputs(graph, config, index),
            *self._shared,
            outputs=3,
            domain=CONTRIB,
            num_heads=config.heads,
            kv_num_heads=config.kv_heads,
            do_rotary=1,
            rotary_interleaved=0,
        )
        graph.output(present_key, f"present_key.{index}", cache_shape(config))
        graph.output(present_value, f"present_value.{index}", cache_shape(config))
        return attended

    def gate(self, packed: ir.Value) -> ir.Value:
        gate, up = self._graph.ops("Split", packed, outputs=2, axis=2, num_outputs=2)
        # QuickGelu is x * sigmoid(alpha * x): with alpha 1 it is SiLU in one node
        return self._graph.op("Mul", self._graph.op("QuickGelu", gate, domain=CONTRIB, alpha=1.0), up)
