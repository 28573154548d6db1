"""How `hidden @ W` is written for TensorRT with W in small integers: DequantizeLinear in front of the matmul.

Only the stored weights are small: they become the graph's type where they are used. TensorRT takes symmetric grids
alone. Knows operators and layouts, no models.
"""

import ml_dtypes
import numpy as np
import onnx_ir as ir

from edgevlm_export.errors import ExportError
from edgevlm_export.graph.matmul import Matrix, transposed
from edgevlm_export.graph.quantise import (
    Floats,
    fit_channels,
    fit_symmetric,
    round_symmetric,
    round_to_channels,
    storable,
)
from edgevlm_export.graph.writer import Array, GraphWriter

BLOCKS = (128, 64, 32)
"""Inputs that share a scale in int4: the first that divides them."""


def dequantised_int8_matmul(graph: GraphWriter, hidden: ir.Value, matrix: Matrix) -> ir.Value:
    """int8, one scale per output. From opset 19, which has scales in float16."""

    def scales() -> Floats:
        return storable(fit_channels(matrix.read()), graph.dtype)

    def codes() -> Array:
        stored = matrix.read()
        return transposed(round_to_channels(stored, storable(fit_channels(stored), graph.dtype)))

    weight = graph.weight(matrix.name, (matrix.inputs, matrix.outputs), codes, np.int8)
    scale = graph.weight(f"{matrix.name}.scale", (matrix.outputs,), scales)
    return graph.op("MatMul", hidden, graph.op("DequantizeLinear", weight, scale, axis=1))


def dequantised_int4_matmul(graph: GraphWriter, hidden: ir.Value, matrix: Matrix) -> ir.Value:
    """int4, one scale per output and block of inputs. From opset 21, which has blocks."""
    block = next((size for size in BLOCKS if matrix.inputs % size == 0), None)
    if block is None or matrix.outputs % 2:
        raise ExportError(
            f"{matrix.name} cannot be int4 for TensorRT: its {matrix.inputs} inputs must be whole blocks of "
            f"{BLOCKS[-1]} and its {matrix.outputs} outputs an even number; choose --precision int8."
        )
    fitted = _Fitted(matrix, block, graph)
    weight = graph.weight(matrix.name, (matrix.inputs, matrix.outputs), fitted.codes, ml_dtypes.int4)
    scale = graph.weight(f"{matrix.name}.scale", (matrix.inputs // block, matrix.outputs), fitted.scales)
    return graph.op("MatMul", hidden, graph.op("DequantizeLinear", weight, scale, axis=0, block_size=block))


class _Fitted:
    """Scales of one matrix in int4, found once for both arrays that are written."""

    def __init__(self, matrix: Matrix, block: int, graph: GraphWriter) -> None:
        self._matrix, self._block, self._dtype = matrix, block, graph.dtype
        self._scales: Floats | None = None

    def codes(self) -> Array:
        stored = self._matrix.read()
        return transposed(round_symmetric(stored, self._fit(stored), 4))

    def scales(self) -> Array:
        return transposed(self._fit(self._matrix.read()) if self._scales is None else self._scales)

    def _fit(self, stored: Array) -> Floats:
        if self._scales is None:
            self._scales = fit_symmetric(stored, 4, self._block, self._dtype)
        return self._scales
