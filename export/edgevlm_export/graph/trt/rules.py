"""What TensorRT would refuse, ignore or misread in a graph, said with the node's name before the graph is parsed.

Some traps it does not report at all: lengths of keys that are parsed and dropped, a causal mask that begins at the
first key. The rest it reports late, without the node. Knows ONNX and the rules, neither TensorRT nor our models.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import onnx
from edgevlm_engines.version import version_numbers, version_text
from onnx import NodeProto, TensorProto, numpy_helper

from edgevlm_export.graph.trt.operators import DOOR, HALVES, OPERATORS, Version, latest_opset

MASK, LENGTHS = 3, 6
"""Inputs of Attention; between them are past keys and values."""

_PASSED_ON = ("Cast", "Concat", "Identity", "Reshape")


class Problem(NamedTuple):
    """`node` is a node's name, or that of an input or output, or empty for the whole graph."""

    node: str
    text: str

    def __str__(self) -> str:
        return f"{self.node}: {self.text}" if self.node else self.text


def check(model: onnx.ModelProto, version: str) -> list[Problem]:
    """All problems of a graph with a version of TensorRT (`10.3.0`). The cache's capacity must have been set."""
    known = version_numbers(version)[:2]
    graph = _Graph(model)
    return [*_opset_problems(model, known), *_door_problems(model), *_node_problems(graph, known)]


class _Graph:
    """A model's nodes with what is known of the values between them. Weights are not read."""

    def __init__(self, model: onnx.ModelProto) -> None:
        inferred = onnx.shape_inference.infer_shapes(model).graph
        self.nodes = list(inferred.node)
        self.constants = {tensor.name: tensor for tensor in inferred.initializer}
        self.inputs = {value.name for value in inferred.input}
        self.outputs = {value.name for value in inferred.output}
        self.producers = {name: node for node in self.nodes for name in node.output}
        self._types = {tensor.name: int(tensor.data_type) for tensor in inferred.initializer}
        self._sizes = {tensor.name: list(tensor.dims) for tensor in inferred.initializer}
        for value in (*inferred.input, *inferred.value_info, *inferred.output):
            tensor = value.type.tensor_type
            self._types[value.name] = int(tensor.elem_type)
            self._sizes[value.name] = [size.dim_value for size in tensor.shape.dim]

    def type(self, name: str) -> int:
        """0 where it is not known."""
        return self._types.get(name, TensorProto.UNDEFINED)

    def sizes(self, name: str) -> list[int]:
        """0 for a free dimension; empty where nothing is known."""
        return self._sizes.get(name, [])


Rule = Callable[[_Graph, NodeProto], Iterator[str]]
"""What is wrong with a node, a sentence each."""


def _opset_problems(model: onnx.ModelProto, version: Version) -> Iterator[Problem]:
    for imported in model.opset_import:
        if imported.domain not in ("", "ai.onnx"):
            yield Problem("", f"it uses operators of {imported.domain}, which TensorRT does not have.")
        elif imported.version > latest_opset(version):
            yield Problem(
                "", f"its opset {imported.version} is later than {latest_opset(version)}, the last one read."
            )


def _door_problems(model: onnx.ModelProto) -> Iterator[Problem]:
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type not in DOOR:
            yield Problem(
                value.name, f"a network's inputs and outputs cannot be {_name(value.type.tensor_type.elem_type)}."
            )


def _node_problems(graph: _Graph, version: Version) -> Iterator[Problem]:
    for node in graph.nodes:
        for text in (*_operator_problems(graph, node, version), *_rule(node)(graph, node)):
            yield Problem(node.name, text)


def _operator_problems(graph: _Graph, node: NodeProto, version: Version) -> Iterator[str]:
    known = OPERATORS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if known is None:
        yield f"the operator {node.op_type} is not among those that were looked up for TensorRT."
    elif known.since > version:
        yield f"TensorRT has the operator {node.op_type} from {version_text(known.since)} on."
    else:
        found = graph.type(node.input[1 if node.op_type == "Where" else 0])
        if found and found not in known.types and not _decomposable(node):
            yield f"{node.op_type} is not there for {_name(found)}."
    for name in node.output:
        if graph.type(name) == TensorProto.UINT8 and name not in graph.outputs:
            yield "UINT8 can be an input or output of the network alone."


def _attention(graph: _Graph, node: NodeProto) -> Iterator[str]:
    if _given(node, LENGTHS):
        yield "nonpad_kv_seqlen is read and then ignored, without a word: mask in the graph."
    if _given(node, MASK + 1) or _given(node, MASK + 2) or len([name for name in node.output if name]) > 1:
        yield "past and present are not supported: use TensorScatter and an Attention with one output."
    if _attribute(node, "is_causal", 0):
        yield "is_causal begins at the first key, so with a cache a new token sees that one alone: mask in the graph."
    if _given(node, MASK) and graph.type(node.input[MASK]) not in (TensorProto.BOOL, TensorProto.UNDEFINED):
        yield "its mask is added to the scores, which does not hide large ones: use a mask of BOOL."
    for name in ("softcap", "softmax_precision", "qk_matmul_output_mode"):
        if _attribute(node, name, 0):
            yield f"the attribute {name} is not supported."


def _tensor_scatter(graph: _Graph, node: NodeProto) -> Iterator[str]:
    cache = node.input[0]
    if cache not in graph.inputs:
        yield "the cache must be an input of the network."
    elif (sizes := graph.sizes(cache)) and not sizes[-2]:
        yield "the cache's capacity must be a number."
    if node.output[0] not in graph.outputs:
        yield "the updated cache must be an output of the network."
    if _attribute(node, "axis", -2) != -2:
        yield "its axis must be -2."
    if _attribute(node, "mode", b"linear") != b"linear":
        yield "its mode must be linear."


def _rotary_embedding(graph: _Graph, node: NodeProto) -> Iterator[str]:
    if not _given(node, 3):
        yield "position_ids are needed: without them the tables would have to be per row."
    elif graph.type(node.input[3]) not in (TensorProto.INT64, TensorProto.UNDEFINED):
        yield "position_ids must be INT64."


def _dequantize_linear(graph: _Graph, node: NodeProto) -> Iterator[str]:
    if node.input[0] not in graph.constants or node.input[1] not in graph.constants:
        yield "weights and scales must be initializers."
    if _given(node, 2) and not _zeros(graph.constants.get(node.input[2])):
        yield "only symmetric weights are supported: no zero point, or zeros."
    if graph.type(node.input[0]) == TensorProto.INT4 and graph.sizes(node.input[0])[-1] % 2:
        yield "the last dimension of INT4 must be even."


def _softmax(graph: _Graph, node: NodeProto) -> Iterator[str]:
    """Masks by addition are found where they are used: a sum that goes into a softmax, through whatever."""
    waiting = [node.input[0]]
    while waiting:
        producer = graph.producers.get(waiting.pop())
        if producer is None:
            continue
        if producer.op_type in ("Add", "Sub"):
            yield f"its scores are a sum ({producer.name}), which does not hide large ones: mask them with Where."
        if producer.op_type in _PASSED_ON:
            waiting.extend(producer.input)


def _normalization(graph: _Graph, node: NodeProto) -> Iterator[str]:
    if len([name for name in node.output if name]) > 1:
        yield "only the first output is supported."
    if _attribute(node, "stash_type", TensorProto.FLOAT) != TensorProto.FLOAT:
        yield "it must compute in float32: squares of large activations are beyond float16."


def _layer_normalization(graph: _Graph, node: NodeProto) -> Iterator[str]:
    yield from _normalization(graph, node)
    if graph.type(node.input[0]) in HALVES:
        yield "newer parsers drop its stash_type, and large activations squared are beyond float16: cast around it."


def _constant_axes(position: int) -> Rule:
    def rule(graph: _Graph, node: NodeProto) -> Iterator[str]:
        if _given(node, position) and not _constant(graph, node.input[position]):
            yield "its axes must be an initializer or a constant."

    return rule


def _no_rule(graph: _Graph, node: NodeProto) -> Iterator[str]:
    yield from ()


_RULES: dict[str, Rule] = {
    "Attention": _attention,
    "DequantizeLinear": _dequantize_linear,
    "LayerNormalization": _layer_normalization,
    "RMSNormalization": _normalization,
    "ReduceMean": _constant_axes(1),
    "RotaryEmbedding": _rotary_embedding,
    "Slice": _constant_axes(3),
    "Softmax": _softmax,
    "TensorScatter": _tensor_scatter,
    "Unsqueeze": _constant_axes(1),
}


def _rule(node: NodeProto) -> Rule:
    return _RULES.get(node.op_type, _no_rule)


def _given(node: NodeProto, position: int) -> bool:
    return len(node.input) > position and bool(node.input[position])


def _attribute(node: NodeProto, name: str, default: object) -> object:
    for attribute in node.attribute:
        if attribute.name == name:
            return onnx.helper.get_attribute_value(attribute)
    return default


def _decomposable(node: NodeProto) -> bool:
    """TensorRT's own attribute: Attention in other types, in basic operators."""
    return node.op_type == "Attention" and bool(_attribute(node, "TRT_decomposable", 0))


def _constant(graph: _Graph, name: str) -> bool:
    return name in graph.constants or (name in graph.producers and graph.producers[name].op_type == "Constant")


def _zeros(tensor: TensorProto | None) -> bool:
    """A tensor outside of the graph's file is not looked at, and does not count as zeros."""
    if tensor is None or tensor.data_location == TensorProto.EXTERNAL:
        return False
    return not numpy_helper.to_array(tensor).astype(float).any()


def _name(kind: int) -> str:
    return str(TensorProto.DataType.Name(kind))
