"""A graph as its rules read it: nodes, and what is known of the values between them. Knows ONNX, no rules."""

import onnx
from onnx import NodeProto, TensorProto

from edgevlm_export.graph.writer import Dimension


class GraphView:
    """Types and shapes are inferred where the graph does not state them. Weights are not read."""

    def __init__(self, model: onnx.ModelProto) -> None:
        inferred = onnx.shape_inference.infer_shapes(model).graph
        self.nodes = list(inferred.node)
        self.constants = {tensor.name: tensor for tensor in inferred.initializer}
        self.inputs = {value.name for value in inferred.input}
        self.outputs = {value.name for value in inferred.output}
        self.producers = {name: node for node in self.nodes for name in node.output}
        self._types = {tensor.name: int(tensor.data_type) for tensor in inferred.initializer}
        self._sizes: dict[str, list[Dimension]] = {tensor.name: list(tensor.dims) for tensor in inferred.initializer}
        for value in (*inferred.input, *inferred.value_info, *inferred.output):
            tensor = value.type.tensor_type
            self._types[value.name] = int(tensor.elem_type)
            self._sizes[value.name] = [size.dim_value or size.dim_param for size in tensor.shape.dim]

    def type(self, name: str) -> int:
        """0 where it is not known."""
        return self._types.get(name, TensorProto.UNDEFINED)

    def sizes(self, name: str) -> list[Dimension]:
        """A free dimension is its name, or empty; no sizes where nothing is known."""
        return self._sizes.get(name, [])

    def is_constant(self, name: str) -> bool:
        """Whether a value is an initializer or comes from a Constant."""
        return name in self.constants or (name in self.producers and self.producers[name].op_type == "Constant")


def given(node: NodeProto, position: int) -> bool:
    """Whether a node has an input at this position."""
    return len(node.input) > position and bool(node.input[position])


def attribute(node: NodeProto, name: str, default: object) -> object:
    """An attribute of a node, or `default` where it is not set."""
    for attribute in node.attribute:
        if attribute.name == name:
            return onnx.helper.get_attribute_value(attribute)
    return default


def type_name(kind: int) -> str:
    """`FLOAT16` for `TensorProto.FLOAT16`."""
    return str(TensorProto.DataType.Name(kind))
