"""What TensorRT would refuse, ignore or misread in a node, by operator. Knows neither versions nor our models.

Some traps it does not report at all: lengths of keys that are parsed and dropped, a causal mask that begins at the
first key. The rest it reports late, without the node.
"""

from collections.abc import Callable, Iterator

from edgevlm_engines.graph_names import CAPACITY
from onnx import NodeProto, TensorProto, numpy_helper

from edgevlm_export.graph.trt.graph_view import GraphView, attribute, given
from edgevlm_export.graph.trt.operators import HALVES

MASK, LENGTHS = 3, 6
"""Inputs of Attention; between them are past keys and values."""

Rule = Callable[[GraphView, NodeProto], Iterator[str]]
"""What is wrong with a node, a sentence each."""

_PASSED_ON = ("Cast", "Concat", "Identity", "Reshape")


def _attention(graph: GraphView, node: NodeProto) -> Iterator[str]:
    if given(node, LENGTHS):
        yield "nonpad_kv_seqlen is read and then ignored, without a word: mask in the graph."
    if given(node, MASK + 1) or given(node, MASK + 2) or len([name for name in node.output if name]) > 1:
        yield "past and present are not supported: use TensorScatter and an Attention with one output."
    if attribute(node, "is_causal", 0):
        yield "is_causal begins at the first key, so with a cache a new token sees that one alone: mask in the graph."
    if given(node, MASK) and graph.type(node.input[MASK]) not in (TensorProto.BOOL, TensorProto.UNDEFINED):
        yield "its mask is added to the scores, which does not hide large ones: use a mask of BOOL."
    for name in ("softcap", "softmax_precision", "qk_matmul_output_mode"):
        if attribute(node, name, 0):
            yield f"the attribute {name} is not supported."


def _tensor_scatter(graph: GraphView, node: NodeProto) -> Iterator[str]:
    cache = node.input[0]
    if cache not in graph.inputs:
        yield "the cache must be an input of the network."
    elif (sizes := graph.sizes(cache)) and not (isinstance(sizes[-2], int) or sizes[-2] == CAPACITY):
        yield f"the cache's capacity must be a number, or the dimension {CAPACITY}, which the build sets."
    if node.output[0] not in graph.outputs:
        yield "the updated cache must be an output of the network."
    if attribute(node, "axis", -2) != -2:
        yield "its axis must be -2."
    if attribute(node, "mode", b"linear") != b"linear":
        yield "its mode must be linear."


def _rotary_embedding(graph: GraphView, node: NodeProto) -> Iterator[str]:
    if not given(node, 3):
        yield "position_ids are needed: without them the tables would have to be per slot."
    elif graph.type(node.input[3]) not in (TensorProto.INT64, TensorProto.UNDEFINED):
        yield "position_ids must be INT64."


def _dequantize_linear(graph: GraphView, node: NodeProto) -> Iterator[str]:
    if node.input[0] not in graph.constants or node.input[1] not in graph.constants:
        yield "weights and scales must be initializers."
    if given(node, 2) and not _zeros(graph.constants.get(node.input[2])):
        yield "only symmetric weights are supported: no zero point, or zeros."
    sizes = graph.sizes(node.input[0])
    if graph.type(node.input[0]) == TensorProto.INT4 and isinstance(sizes[-1], int) and sizes[-1] % 2:
        yield "the last dimension of INT4 must be even."


def _softmax(graph: GraphView, node: NodeProto) -> Iterator[str]:
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


def _normalization(graph: GraphView, node: NodeProto) -> Iterator[str]:
    if len([name for name in node.output if name]) > 1:
        yield "only the first output is supported."
    if attribute(node, "stash_type", TensorProto.FLOAT) != TensorProto.FLOAT:
        yield "it must compute in float32: squares of large activations are beyond float16."


def _layer_normalization(graph: GraphView, node: NodeProto) -> Iterator[str]:
    yield from _normalization(graph, node)
    if graph.type(node.input[0]) in HALVES:
        yield "newer parsers drop its stash_type, and large activations squared are beyond float16: cast around it."


def _constant_axes(position: int) -> Rule:
    def rule(graph: GraphView, node: NodeProto) -> Iterator[str]:
        if given(node, position) and not graph.is_constant(node.input[position]):
            yield "its axes must be an initializer or a constant."

    return rule


def _zeros(tensor: TensorProto | None) -> bool:
    """A tensor outside of the graph's file is not looked at, and does not count as zeros."""
    if tensor is None or tensor.data_location == TensorProto.EXTERNAL:
        return False
    return not numpy_helper.to_array(tensor).astype(float).any()


RULES: dict[str, Rule] = {
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
