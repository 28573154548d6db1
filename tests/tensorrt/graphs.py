"""Small graphs with one attention each: one that is right, and traps that TensorRT or we must refuse."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, ValueInfoProto, helper, numpy_helper

HEADS, HEAD_DIM, CAPACITY = 2, 64, 128
FP16, FP32, INT64, BOOL = TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL

PROFILE: dict[str, tuple[list[int], list[int], list[int]]] = {
    "query": ([1, HEADS, 1, HEAD_DIM], [2, HEADS, 1, HEAD_DIM], [4, HEADS, 16, HEAD_DIM]),
    "key": ([1, HEADS, 1, HEAD_DIM], [2, HEADS, 1, HEAD_DIM], [4, HEADS, 16, HEAD_DIM]),
    "past": ([1, HEADS, CAPACITY, HEAD_DIM], [2, HEADS, CAPACITY, HEAD_DIM], [4, HEADS, CAPACITY, HEAD_DIM]),
    "mask": ([1, 1, 1, CAPACITY], [2, 1, 1, CAPACITY], [4, 1, 16, CAPACITY]),
    "length": ([1], [2], [4]),
    "valid": ([1], [2], [4]),
}
"""Ranges of the inputs that the graphs below have, if they have them."""


def scatter_attention(dtype: int = FP16, lengths: str | None = None) -> onnx.ModelProto:
    """An update of a cache in place and attention over it. `lengths` is an input that counts the valid keys."""
    nodes = [
        helper.make_node("TensorScatter", ["past", "key", "length"], ["present"], "scatter", axis=-2, mode="linear")
    ]
    inputs = _inputs(dtype, mask=lengths is None)
    if lengths:
        names = ["query", "present", "present", "", "", "", lengths]
        nodes.append(helper.make_node("Attention", names, ["out"], name="attend", scale=0.125))
        if lengths != "length":
            inputs.append(_value(lengths, INT64, ["batch"]))
    else:
        nodes.append(helper.make_node("Attention", ["query", "present", "present", "mask"], ["out"], scale=0.125))
    cache = _value("present", dtype, _CACHE)
    return _model(nodes, inputs, [_value("out", dtype, _FREE), cache])


def causal_with_cache() -> onnx.ModelProto:
    """`is_causal` with a cache: its triangle begins at the first key, so a step would see that one alone."""
    nodes = [
        helper.make_node("TensorScatter", ["past", "key", "length"], ["present"], axis=-2, mode="linear"),
        helper.make_node("Attention", ["query", "present", "present"], ["out"], is_causal=1, scale=0.125),
    ]
    cache = _value("present", FP16, _CACHE)
    return _model(nodes, _inputs(FP16, mask=False), [_value("out", FP16, _FREE), cache])


def attention_with_presents() -> onnx.ModelProto:
    """Opset 23's own cache: Attention with past inputs and present outputs."""
    names = ["query", "key", "key", "", "past", "past"]
    nodes = [helper.make_node("Attention", names, ["out", "present_key", "present_value"], scale=0.125)]
    presents = [_value(f"present_{name}", FP16, ["batch", HEADS, "total", HEAD_DIM]) for name in ("key", "value")]
    inputs = [value for value in _inputs(FP16, mask=False) if value.name != "length"]
    return _model(nodes, inputs, [_value("out", FP16, _FREE), *presents])


def cache_that_is_no_input() -> onnx.ModelProto:
    """An update in place of something computed: it has no address to stay at."""
    nodes = [
        helper.make_node("Mul", ["past", "one"], ["copy"]),
        helper.make_node("TensorScatter", ["copy", "key", "length"], ["present"], axis=-2, mode="linear"),
        helper.make_node("Attention", ["query", "present", "present", "mask"], ["out"], scale=0.125),
    ]
    one = numpy_helper.from_array(np.array(1, np.float16), "one")
    cache = _value("present", FP16, _CACHE)
    return _model(nodes, _inputs(FP16, mask=True), [_value("out", FP16, _FREE), cache], [one])


Dimensions = Sequence[int | str]

_FREE: Dimensions = ["batch", HEADS, "sequence", HEAD_DIM]
_CACHE: Dimensions = ["batch", HEADS, CAPACITY, HEAD_DIM]


def _inputs(dtype: int, mask: bool) -> list[ValueInfoProto]:
    inputs = [
        _value("query", dtype, _FREE),
        _value("key", dtype, _FREE),
        _value("past", dtype, _CACHE),
        _value("length", INT64, ["batch"]),
    ]
    return [*inputs, _value("mask", BOOL, ["batch", 1, "sequence", CAPACITY])] if mask else inputs


def _value(name: str, dtype: int, shape: Dimensions) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def _model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    initializers: Sequence[TensorProto] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "trap", inputs, outputs, initializer=initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=11)
    onnx.checker.check_model(model)
    return model
