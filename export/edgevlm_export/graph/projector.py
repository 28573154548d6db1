"""The two projectors as graphs: LDP (V1) and LDPv2 (V2) turn patch features into decoder positions.

Structure after MobileVLM's `vision_projector.py` at commit 688fdec. Activations stay in the layout
`[n, rows, columns, channels]`, in which every 1x1 convolution is a matmul; only depthwise convolutions
go through `[n, channels, rows, columns]`.
"""

import onnx_ir as ir

from edgevlm_export.checkpoint.config import POOLED_GRID, VisionConfig
from edgevlm_export.graph.layers import VisionParts, layer_norm, linear
from edgevlm_export.graph.weights import Weights
from edgevlm_export.graph.writer import GraphWriter

LAYER_NORM_EPS = 1e-5


def write_ldp(
    graph: GraphWriter, parts: VisionParts, weights: Weights, vision: VisionConfig, width: int, hidden: ir.Value
) -> ir.Value:
    """V1: `[n, grid*grid, vision width]` -> `[n, (grid/2)**2, width]`.

    `weights` stands at `model.mm_projector.model.`.
    """
    with graph.scope("projector"):
        hidden = _mlp(graph, parts, weights, ("mlp.1", "mlp.3"), vision.hidden_size, width, hidden)
        hidden = graph.op("Reshape", hidden, graph.shape_op([0, vision.grid, vision.grid, width]))
        block = _mobile_block(graph, parts, weights.below("mb_block.1.block"), width, 1, hidden)
        hidden = graph.op("Add", hidden, block)
        hidden = _mobile_block(graph, parts, weights.below("mb_block.2.block"), width, 2, hidden)
        return graph.op("Reshape", hidden, graph.shape_op([0, -1, width]))


def write_ldpv2(
    graph: GraphWriter, parts: VisionParts, weights: Weights, vision: VisionConfig, width: int, hidden: ir.Value
) -> ir.Value:
    """V2: `[n, grid*grid, vision width]` -> `[n, 144, width]`. `weights` stands at `model.mm_projector.`."""
    with graph.scope("projector"):
        hidden = _mlp(graph, parts, weights, ("mlp.mlp.0", "mlp.mlp.2"), vision.hidden_size, width, hidden)
        hidden = graph.op("Reshape", hidden, graph.shape_op([0, vision.grid, vision.grid, width]))
        hidden = graph.op("Transpose", hidden, perm=[0, 3, 1, 2])
        if vision.grid != POOLED_GRID:
            side = vision.grid // POOLED_GRID
            hidden = graph.op("AveragePool", hidden, kernel_shape=[side, side], strides=[side, side])
        encoded = graph.op(
            "Conv",
            hidden,
            weights.tensor("peg.peg.0.weight", (width, 1, 3, 3)),
            weights.tensor("peg.peg.0.bias", (width,)),
            kernel_shape=[3, 3],
            pads=[1, 1, 1, 1],
            group=width,
        )
        hidden = graph.op("Reshape", graph.op("Add", hidden, encoded), graph.shape_op([0, width, -1]))
        return graph.op("Transpose", hidden, perm=[0, 2, 1])


def _mlp(
    graph: GraphWriter,
    parts: VisionParts,
    weights: Weights,
    names: tuple[str, str],
    inputs: int,
    width: int,
    hidden: ir.Value,
) -> ir.Value:
    """Two linear layers with the exact (erf) GELU between them."""
    first, second = names
    hidden = parts.gelu(linear(graph, weights, first, inputs, width, hidden))
    return linear(graph, weights, second, width, width, hidden)


def _mobile_block(
    graph: GraphWriter, parts: VisionParts, weights: Weights, width: int, stride: int, hidden: ir.Value
) -> ir.Value:
    """torchvision's MobileNetV3 inverted residual without expansion: depthwise, squeeze-excitation, pointwise."""
    channels_first = graph.op("Transpose", hidden, perm=[0, 3, 1, 2])
    depthwise = graph.op(
        "Conv",
        channels_first,
        weights.tensor("0.0.weight", (width, 1, 3, 3)),
        kernel_shape=[3, 3],
        strides=[stride, stride],
        pads=[1, 1, 1, 1],
        group=width,
    )
    hidden = graph.op("Transpose", depthwise, perm=[0, 2, 3, 1])
    hidden = graph.op("HardSwish", layer_norm(parts, weights, "0.1", width, LAYER_NORM_EPS, hidden))
    hidden = graph.op("Mul", hidden, _excitation(graph, parts, weights.below("1"), width, hidden))
    hidden = weights.pointwise(hidden, "2.0", width, width)
    return layer_norm(parts, weights, "2.1", width, LAYER_NORM_EPS, hidden)


def _excitation(graph: GraphWriter, parts: VisionParts, weights: Weights, width: int, hidden: ir.Value) -> ir.Value:
    """A factor per channel `[n, 1, 1, width]` from the mean over all positions."""
    squeezed = width // 4
    inner = weights.pointwise(parts.mean(hidden, [1, 2]), "fc1", width, squeezed)
    inner = graph.op("Relu", graph.op("Add", inner, weights.tensor("fc1.bias", (squeezed,))))
    outer = weights.pointwise(inner, "fc2", squeezed, width)
    outer = graph.op("Add", outer, weights.tensor("fc2.bias", (width,)))
    return graph.op("HardSigmoid", outer, alpha=1 / 6, beta=0.5)
