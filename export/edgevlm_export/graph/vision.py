"""The CLIP vision encoder as a graph: pixels in, patch features out.

Computes what transformers' `CLIPVisionModel` computes, read at `hidden_states[-2]` without the class token, which is
where MobileVLM reads it: the stored last layer and the final norm are not run. What runtimes write differently is
behind `VisionParts`.
"""

import numpy as np
import onnx_ir as ir

from edgevlm_export.checkpoint.config import VisionConfig
from edgevlm_export.graph.layers import VisionParts, layer_norm, linear
from edgevlm_export.graph.weights import Weights
from edgevlm_export.graph.writer import GraphWriter

HIDDEN = "vision_hidden"
"""Name of the encoder's output inside the graph, so that a parity run can look at it."""


def write_vision_encoder(
    graph: GraphWriter, parts: VisionParts, weights: Weights, config: VisionConfig, pixels: ir.Value
) -> ir.Value:
    """`pixels` `[n, 3, image_size, image_size]` -> patch features `[n, grid*grid, hidden_size]`.

    `weights` stands at `vision_model.`.
    """
    with graph.scope("vision"):
        hidden = _embeddings(graph, weights.below("embeddings"), config, pixels)
        hidden = layer_norm(parts, weights, "pre_layrnorm", config.hidden_size, config.layer_norm_eps, hidden)
        for index in range(config.layers_run):
            with graph.scope(f"layer{index}"):
                hidden = _layer(graph, parts, weights.below(f"encoder.layers.{index}"), config, hidden)
        return graph.op(
            "Slice",
            hidden,
            graph.constant(np.array([1])),
            graph.constant(np.array([np.iinfo(np.int64).max])),
            graph.constant(np.array([1])),
            name=HIDDEN,
        )


def _embeddings(graph: GraphWriter, weights: Weights, config: VisionConfig, pixels: ir.Value) -> ir.Value:
    """Patch embeddings with the class embedding in front, plus positions: `[n, 1 + grid*grid, hidden_size]`."""
    width, patch = config.hidden_size, config.patch_size
    kernel = weights.tensor("patch_embedding.weight", (width, 3, patch, patch))
    patches = graph.op("Conv", pixels, kernel, kernel_shape=[patch, patch], strides=[patch, patch])
    patches = graph.op("Reshape", patches, graph.shape_op([0, width, -1]))
    patches = graph.op("Transpose", patches, perm=[0, 2, 1])

    batch = graph.op("Shape", pixels, start=0, end=1)
    target = graph.op("Concat", batch, graph.shape_op([1, width]), axis=0)
    class_embedding = graph.op("Expand", weights.tensor("class_embedding", (width,), (1, 1, width)), target)

    positions = weights.tensor("position_embedding.weight", (1 + config.grid**2, width))
    return graph.op("Add", graph.op("Concat", class_embedding, patches, axis=1), positions)


def _layer(
    graph: GraphWriter, parts: VisionParts, weights: Weights, config: VisionConfig, hidden: ir.Value
) -> ir.Value:
    width, eps = config.hidden_size, config.layer_norm_eps
    normed = layer_norm(parts, weights, "layer_norm1", width, eps, hidden)
    hidden = graph.op("Add", hidden, _attention(graph, parts, weights.below("self_attn"), config, normed))
    normed = layer_norm(parts, weights, "layer_norm2", width, eps, hidden)
    return graph.op("Add", hidden, _mlp(graph, parts, weights.below("mlp"), config, normed))


def _attention(
    graph: GraphWriter, parts: VisionParts, weights: Weights, config: VisionConfig, hidden: ir.Value
) -> ir.Value:
    width = config.hidden_size
    names, sizes = ("q_proj", "k_proj", "v_proj"), (width, width, width)
    packed = weights.packed_linear(hidden, names, width, sizes, "qkv_proj")
    packed = graph.op("Add", packed, weights.packed_bias(names, sizes, "qkv_proj"))
    return linear(graph, weights, "out_proj", width, width, parts.attend(packed))


def _mlp(
    graph: GraphWriter, parts: VisionParts, weights: Weights, config: VisionConfig, hidden: ir.Value
) -> ir.Value:
    inner = linear(graph, weights, "fc1", config.hidden_size, config.intermediate_size, hidden)
    activate = parts.quick_gelu if config.hidden_act == "quick_gelu" else parts.gelu
    return linear(graph, weights, "fc2", config.intermediate_size, config.hidden_size, activate(inner))
