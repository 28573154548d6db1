"""What a matmul with rounded weights computes with: the operators' own roundings, in numpy. Arrays only.

For trying out: how far the product of rounded weights and activations is from the exact one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from edgevlm_export.graph.matmul import BLOCK
from edgevlm_export.graph.quantise import (
    Floats,
    fit_blocks,
    fit_channels,
    fit_symmetric,
    round_symmetric,
    round_to_blocks,
    round_to_channels,
    storable,
)
from edgevlm_export.graph.trt.matmul import BLOCKS
from edgevlm_export.graph.writer import Array


@dataclass(frozen=True)
class Inputs:
    """What went into a matmul: some rows `[n, inputs]`, and each channel's range over all rows `[inputs]`."""

    rows: Floats
    low: Floats
    high: Floats

    def divided(self, factors: Floats) -> "Inputs":
        """The same with each channel divided by its factor, which is positive."""
        return Inputs(self.rows / factors, self.low / factors, self.high / factors)


class Rounding(NamedTuple):
    """Of weights `[outputs, inputs]` and of activations, each to the numbers that are multiplied."""

    weights: Callable[[Array], Floats]
    activations: Callable[[Inputs], Floats]


def blockwise(bits: int) -> Rounding:
    """MatMulNBits: blocks of weights on fitted grids, activations in int8 by row and block."""

    def weights(stored: Array) -> Floats:
        grid = fit_blocks(stored, bits, BLOCK)
        steps = round_to_blocks(stored, grid, BLOCK).astype(np.float32) - grid.zeros[..., np.newaxis]
        return (steps * grid.scales[..., np.newaxis]).reshape(len(stored), -1)[:, : stored.shape[1]]

    return Rounding(weights, _by_row_and_block)


def per_call() -> Rounding:
    """DynamicQuantizeMatMul: a scale per output, and one for all activations of a call."""

    def weights(stored: Array) -> Floats:
        scales = fit_channels(stored)
        return round_to_channels(stored, scales).astype(np.float32) * scales[:, np.newaxis]

    return Rounding(weights, _over_the_range)


def weights_in_int8(dtype: type[np.floating[Any]]) -> Rounding:
    """DequantizeLinear with a scale per output; activations stay as they are."""

    def weights(stored: Array) -> Floats:
        scales = storable(fit_channels(stored), np.dtype(dtype))
        return round_to_channels(stored, scales).astype(np.float32) * scales[:, np.newaxis]

    return Rounding(weights, lambda inputs: inputs.rows)


def weights_in_int4(dtype: type[np.floating[Any]]) -> Rounding:
    """DequantizeLinear with a scale per output and block; activations stay as they are."""

    def weights(stored: Array) -> Floats:
        block = next(size for size in BLOCKS if stored.shape[1] % size == 0)
        scales = fit_symmetric(stored, 4, block, np.dtype(dtype))
        return round_symmetric(stored, scales, 4).astype(np.float32) * np.repeat(scales, block, axis=1)

    return Rounding(weights, lambda inputs: inputs.rows)


def _by_row_and_block(inputs: Inputs) -> Floats:
    count, width = inputs.rows.shape
    blocks = np.pad(inputs.rows, ((0, 0), (0, -width % BLOCK))).reshape(count, -1, BLOCK)
    scale = np.abs(blocks).max(axis=-1, keepdims=True) / np.float32(127)
    scale[scale == 0] = 1
    rounded: Floats = (np.rint(blocks / scale) * scale).reshape(count, -1)[:, :width]
    return rounded


def _over_the_range(inputs: Inputs) -> Floats:
    low, high = min(float(inputs.low.min()), 0.0), max(float(inputs.high.max()), 0.0)
    scale = np.float32((high - low) / 255) or np.float32(1)
    zero = np.rint(-low / scale)
    rounded: Floats = (np.clip(np.rint(inputs.rows / scale) + zero, 0, 255) - zero) * scale
    return rounded
