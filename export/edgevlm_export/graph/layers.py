"""What vision encoder and projectors share: two layers, and the operators that each runtime has in its own way.

Decoder layers have neither bias nor mean.
"""

from typing import Protocol

import onnx_ir as ir

from edgevlm_export.graph.weights import Weights
from edgevlm_export.graph.writer import GraphWriter

QUICK_GELU_ALPHA = 1.702


class VisionParts(Protocol):
    """The operators of one runtime. An object belongs to one graph."""

    def layer_norm(self, hidden: ir.Value, scale: ir.Value, bias: ir.Value, epsilon: float) -> ir.Value:
        """Over the last dimension."""
        ...

    def attend(self, packed: ir.Value) -> ir.Value:
        """Queries, keys and values side by side, `[n, positions, 3 * width]` -> `[n, positions, width]`."""
        ...

    def quick_gelu(self, hidden: ir.Value) -> ir.Value: ...

    def gelu(self, hidden: ir.Value) -> ir.Value:
        """The exact one, with erf."""
        ...

    def mean(self, hidden: ir.Value, axes: list[int]) -> ir.Value:
        """Over these dimensions, which stay with size 1."""
        ...


def linear(graph: GraphWriter, weights: Weights, name: str, inputs: int, outputs: int, hidden: ir.Value) -> ir.Value:
    """`x @ W + b` over the last dimension."""
    return graph.op("Add", weights.linear(hidden, name, inputs, outputs), weights.tensor(f"{name}.bias", (outputs,)))


def layer_norm(
    parts: VisionParts, weights: Weights, name: str, width: int, epsilon: float, hidden: ir.Value
) -> ir.Value:
    """LayerNorm with scale and bias over the last dimension."""
    scale, bias = weights.tensor(f"{name}.weight", (width,)), weights.tensor(f"{name}.bias", (width,))
    return parts.layer_norm(hidden, scale, bias, epsilon)
