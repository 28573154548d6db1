"""How `hidden @ W` is written for a precision of W. Knows operators and their weight layouts, no models.

Only matmuls with stored weights: everything between them keeps the graph's own type.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgevlm_export.graph.quantise import (
    BlockGrid,
    fit_blocks,
    fit_channels,
    pack,
    round_to_blocks,
    round_to_channels,
)
from edgevlm_export.graph.writer import CONTRIB, Array, GraphWriter

BLOCK = 128
"""Weights that share a scale: of the sizes that ONNX Runtime takes, the one with the fastest kernels (measured in
`docs/decisions/2026-11-25-blocks-of-128.md`). The last of an odd number of slots takes a slower one that rounds
differently; the engine finds that out and pads."""

INT8_ACTIVATIONS = 4
"""MatMulNBits' accuracy level: activations are rounded to int8 per row and block. The others are several times
slower."""

ROWS = 32
"""Rows turned at once: in float16, a line of the cache."""


@dataclass(frozen=True)
class Matrix:
    """A linear layer's weight as it is stored: `read` gives `[outputs, inputs]`, rounded through float16."""

    name: str
    inputs: int
    outputs: int
    read: Callable[[], Array]


MatmulWriter = Callable[[GraphWriter, ir.Value, Matrix], ir.Value]
"""Writes `hidden @ W` for one precision of W."""


def plain_matmul(graph: GraphWriter, hidden: ir.Value, matrix: Matrix) -> ir.Value:
    """In the graph's own type."""
    weight = graph.weight(matrix.name, (matrix.inputs, matrix.outputs), lambda: transposed(matrix.read()))
    return graph.op("MatMul", hidden, weight)


def transposed(stored: Array) -> Array:
    """A copy of `[out, in]` as `[in, out]`, a few rows at a time: at once, numpy leaves the cache at every value."""
    turned = np.empty(stored.shape[::-1], stored.dtype)
    for first in range(0, len(stored), ROWS):
        turned[:, first : first + ROWS] = stored[first : first + ROWS].T
    return turned


def int8_matmul(graph: GraphWriter, hidden: ir.Value, matrix: Matrix) -> ir.Value:
    """One scale per output; activations become uint8 with one scale per call, so a call must hold one image."""
    shape = (matrix.inputs, matrix.outputs)

    def codes() -> Array:
        stored = matrix.read()
        return transposed(round_to_channels(stored, fit_channels(stored)))

    weight = graph.weight(matrix.name, shape, codes, np.int8)
    scale = graph.weight(f"{matrix.name}.scale", (matrix.outputs,), lambda: fit_channels(matrix.read()), np.float32)
    return graph.op("DynamicQuantizeMatMul", hidden, weight, scale, domain=CONTRIB)


def blockwise_matmul(bits: int) -> MatmulWriter:
    """Blocks of `BLOCK` weights along the input, each with a scale and a zero point."""

    def write(graph: GraphWriter, hidden: ir.Value, matrix: Matrix) -> ir.Value:
        weights = _Blocks(matrix, bits)
        count = -(-matrix.inputs // BLOCK)
        name, outputs = matrix.name, matrix.outputs
        codes = graph.weight(name, (outputs, count, BLOCK * bits // 8), weights.codes, np.uint8)
        scales = graph.weight(f"{name}.scale", (outputs * count,), weights.scales, graph.dtype.type)
        zeros = graph.weight(f"{name}.zero", (outputs * -(-count * bits // 8),), weights.zeros, np.uint8)
        return graph.op(
            "MatMulNBits",
            hidden,
            codes,
            scales,
            zeros,
            domain=CONTRIB,
            K=matrix.inputs,
            N=outputs,
            bits=bits,
            block_size=BLOCK,
            accuracy_level=INT8_ACTIVATIONS,
        )

    return write


class _Blocks:
    """The three arrays of one matrix. They are written one after another, the grid is kept from first to last."""

    def __init__(self, matrix: Matrix, bits: int) -> None:
        self._matrix, self._bits = matrix, bits
        self._grid: BlockGrid | None = None
        self._unread = {"codes", "scales", "zeros"}

    def codes(self) -> Array:
        stored = self._matrix.read()
        return pack(round_to_blocks(stored, self._fitted("codes", stored), BLOCK), self._bits)

    def scales(self) -> Array:
        return self._fitted("scales").scales.ravel()

    def zeros(self) -> Array:
        return pack(self._fitted("zeros").zeros, self._bits).ravel()

    def _fitted(self, part: str, stored: Array | None = None) -> BlockGrid:
        grid = self._grid or fit_blocks(self._matrix.read() if stored is None else stored, self._bits, BLOCK)
        self._unread.discard(part)
        self._grid = grid if self._unread else None
        return grid
