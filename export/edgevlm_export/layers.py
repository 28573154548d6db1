"""The two layers that vision encoder and projectors share. Decoder layers have neither bias nor mean."""

import onnx_ir as ir

from edgevlm_export.graph import GraphWriter
from edgevlm_export.weights import Weights


def linear(graph: GraphWriter, weights: Weights, name: str, inputs: int, outputs: int, hidden: ir.Value) -> ir.Value:
    """`x @ W + b` over the last dimension."""
    product = weights.linear(hidden, name, inputs, outputs)
    return graph.op("Add", product, weights.tensor(f"{name}.bias", (outputs,)))


def layer_norm(
    graph: GraphWriter, weights: Weights, name: str, width: int, epsilon: float, hidden: ir.Value
) -> ir.Value:
    """LayerNorm with scale and bias over the last dimension."""
    return graph.op(
        "LayerNormalization",
        hidden,
        weights.tensor(f"{name}.weight", (width,)),
        weights.tensor(f"{name}.bias", (width,)),
        axis=-1,
        epsilon=epsilon,
    )
