"""Which operators of ONNX each version of TensorRT reads, and in which types. A table, no checks.

It holds what our graphs are written with, after the parser's own table and release notes: what is not in it was not
looked at. Needs neither TensorRT nor a GPU.
"""

from typing import NamedTuple

from onnx import TensorProto

Version = tuple[int, ...]
"""Major and minor."""

FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16})
HALVES = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16})
NUMBERS = FLOATS | {TensorProto.INT32, TensorProto.INT64}
ALL = NUMBERS | {TensorProto.BOOL}
SMALL = frozenset({TensorProto.INT8, TensorProto.INT4, TensorProto.FLOAT8E4M3FN})
BORDER = ALL | {TensorProto.UINT8}
"""What inputs and outputs of a network may be; UINT8 is nothing else."""


class Operator(NamedTuple):
    """Types of what the operator works on (its first input, or its second where the first is a condition)."""

    types: frozenset[int]
    since: Version = (10, 0)


OPERATORS: dict[str, Operator] = {
    "Add": Operator(NUMBERS),
    "And": Operator(frozenset({TensorProto.BOOL})),
    "Attention": Operator(HALVES, since=(10, 14)),
    "AveragePool": Operator(FLOATS),
    "Cast": Operator(ALL),
    "Concat": Operator(ALL),
    "Conv": Operator(FLOATS),
    "DequantizeLinear": Operator(SMALL),
    "Div": Operator(NUMBERS),
    "Erf": Operator(FLOATS),
    "Expand": Operator(ALL),
    "Gather": Operator(ALL),
    "HardSigmoid": Operator(FLOATS),
    "HardSwish": Operator(FLOATS),
    "LayerNormalization": Operator(FLOATS),
    "Less": Operator(NUMBERS),
    "LessOrEqual": Operator(NUMBERS),
    "MatMul": Operator(FLOATS),
    "Mul": Operator(NUMBERS),
    "RMSNormalization": Operator(FLOATS, since=(10, 15)),
    "Range": Operator(frozenset({TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64})),
    "ReduceMean": Operator(NUMBERS),
    "Relu": Operator(NUMBERS),
    "Reshape": Operator(ALL),
    "RotaryEmbedding": Operator(FLOATS, since=(10, 15)),
    "Shape": Operator(ALL),
    "Sigmoid": Operator(FLOATS),
    "Slice": Operator(ALL),
    "Softmax": Operator(FLOATS),
    "Split": Operator(ALL),
    "Sqrt": Operator(FLOATS),
    "Sub": Operator(NUMBERS),
    "TensorScatter": Operator(FLOATS, since=(10, 15)),
    "Tile": Operator(ALL),
    "Transpose": Operator(ALL),
    "Unsqueeze": Operator(ALL),
    "Where": Operator(ALL),
}

OPSETS: dict[Version, int] = {(10, 0): 21, (10, 14): 24}
"""Latest opset, by the version it begins with. The documents of 10.1 say 20; its parser has no upper bound, and 21
gave one of the operators above a new meaning: DequantizeLinear has blocks, which that parser sees in the scale's
shape. Whether 10.3 builds such a graph has not been tried."""


def latest_opset(version: Version) -> int:
    """Of the standard's own domain."""
    return next(opset for first, opset in sorted(OPSETS.items(), reverse=True) if first <= version)
