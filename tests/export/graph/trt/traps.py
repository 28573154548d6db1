"""Traps of TensorRT, put into a graph of ours: each changes a model in place, and is found at a node of that kind."""

from collections.abc import Callable

import onnx
from onnx import NodeProto, TensorProto, helper

Trap = Callable[[onnx.ModelProto], None]


def first(model: onnx.ModelProto, kind: str) -> NodeProto:
    found: NodeProto = next(node for node in model.graph.node if node.op_type == kind)
    return found


def typed(model: onnx.ModelProto, name: str, kind: int, shape: tuple[int, ...]) -> str:
    """A new input of the graph."""
    model.graph.input.append(helper.make_tensor_value_info(name, kind, shape))
    return name


def attribute(node: NodeProto, name: str, value: object) -> None:
    kept = [one for one in node.attribute if one.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def lengths_of_keys(model: onnx.ModelProto) -> None:
    node = first(model, "Attention")
    node.input.extend(["", "", typed(model, "lengths", TensorProto.INT64, (1,))])


def past_and_present(model: onnx.ModelProto) -> None:
    node = first(model, "Attention")
    node.input.extend(["past_key.0", "past_value.0"])
    node.output.extend(["k", "v"])


def causal(model: onnx.ModelProto) -> None:
    attribute(first(model, "Attention"), "is_causal", 1)


def softcap(model: onnx.ModelProto) -> None:
    attribute(first(model, "Attention"), "softcap", 30.0)


def softmax_precision(model: onnx.ModelProto) -> None:
    attribute(first(model, "Attention"), "softmax_precision", int(TensorProto.FLOAT))


def mask_that_is_added(model: onnx.ModelProto) -> None:
    first(model, "Attention").input[3] = typed(model, "mask", TensorProto.FLOAT16, (1, 1, 1, 1))


def cache_that_is_no_input(model: onnx.ModelProto) -> None:
    node = first(model, "TensorScatter")
    model.graph.node.insert(0, helper.make_node("Mul", [node.input[0], node.input[0]], ["squared"], "squared"))
    node.input[0] = "squared"


def cache_that_is_no_output(model: onnx.ModelProto) -> None:
    del model.graph.output[[value.name for value in model.graph.output].index("present_key.0")]


def free_capacity(model: onnx.ModelProto) -> None:
    for value in model.graph.input:
        if value.name == "past_key.0":
            value.type.tensor_type.shape.dim[2].dim_param = "length"


def ring(model: onnx.ModelProto) -> None:
    attribute(first(model, "TensorScatter"), "mode", "circular")


def other_axis(model: onnx.ModelProto) -> None:
    attribute(first(model, "TensorScatter"), "axis", 1)


def narrow_positions(model: onnx.ModelProto) -> None:
    first(model, "RotaryEmbedding").input[3] = typed(model, "positions", TensorProto.INT32, (1, 1))


def no_positions(model: onnx.ModelProto) -> None:
    del first(model, "RotaryEmbedding").input[3]


def narrow_norm(model: onnx.ModelProto) -> None:
    attribute(first(model, "RMSNormalization"), "stash_type", int(TensorProto.FLOAT16))


NATIVE_TRAPS: dict[Trap, tuple[str, str]] = {
    lengths_of_keys: ("Attention", "nonpad_kv_seqlen is read and then ignored"),
    past_and_present: ("Attention", "past and present are not supported"),
    causal: ("Attention", "is_causal begins at the first key"),
    softcap: ("Attention", "softcap is not supported"),
    softmax_precision: ("Attention", "softmax_precision is not supported"),
    mask_that_is_added: ("Attention", "use a mask of BOOL"),
    cache_that_is_no_input: ("TensorScatter", "the cache must be an input"),
    cache_that_is_no_output: ("TensorScatter", "the updated cache must be an output"),
    free_capacity: ("TensorScatter", "capacity must be a number, or the dimension capacity"),
    ring: ("TensorScatter", "its mode must be linear"),
    other_axis: ("TensorScatter", "its axis must be -2"),
    narrow_positions: ("RotaryEmbedding", "position_ids must be INT64"),
    no_positions: ("RotaryEmbedding", "position_ids are needed"),
    narrow_norm: ("RMSNormalization", "must compute in float32"),
}


def additive_mask(model: onnx.ModelProto) -> None:
    scores = {node.output[0] for node in model.graph.node if node.op_type == "MatMul"}
    node = next(node for node in model.graph.node if node.op_type == "Where" and node.input[1] in scores)
    node.op_type = "Add"
    del node.input[0]


def free_axes(model: onnx.ModelProto) -> None:
    first(model, "ReduceMean").input[1] = typed(model, "axes", TensorProto.INT64, (1,))


def free_unsqueeze(model: onnx.ModelProto) -> None:
    first(model, "Unsqueeze").input[1] = typed(model, "axes", TensorProto.INT64, (1,))


def double(model: onnx.ModelProto) -> None:
    node = first(model, "Sqrt")
    node.input[0] = typed(model, "wide", TensorProto.DOUBLE, (1,))


def integers_multiplied(model: onnx.ModelProto) -> None:
    first(model, "MatMul").op_type = "MatMulInteger"


def contributed(model: onnx.ModelProto) -> None:
    first(model, "Sigmoid").domain = "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


SPLIT_TRAPS: dict[Trap, tuple[str, str]] = {
    additive_mask: ("Softmax", "mask them with Where"),
    free_axes: ("ReduceMean", "axes must be an initializer"),
    free_unsqueeze: ("Unsqueeze", "axes must be an initializer"),
    double: ("Sqrt", "not there for DOUBLE"),
    integers_multiplied: ("MatMulInteger", "not among those that were looked up"),
    contributed: ("Sigmoid", "not among those that were looked up"),
}
