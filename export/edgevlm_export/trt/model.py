"""A graph as TensorRT's parser takes it: with a number for the cache's capacity. Knows ONNX files, no TensorRT."""

from pathlib import Path

import onnx
from edgevlm_engines.graph_names import CAPACITY
from onnx import helper


def load_graph(path: Path) -> onnx.ModelProto:
    """The graph without its weights, which stay in the file beside it: together they may pass protobuf's 2 GB."""
    return onnx.load(path, load_external_data=False)


def set_capacity(model: onnx.ModelProto, capacity: int) -> None:
    """Write `capacity` positions wherever the graph leaves them free."""
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param == CAPACITY:
                dimension.dim_value = capacity


def allow_decomposition(model: onnx.ModelProto) -> None:
    """Let TensorRT compute attention in several kernels: its parser's own attribute, which no file may have.

    Other readers of ONNX refuse it.
    """
    for node in model.graph.node:
        if node.op_type == "Attention":
            node.attribute.append(helper.make_attribute("TRT_decomposable", 1))
