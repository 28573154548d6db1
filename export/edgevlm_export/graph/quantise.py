"""Weights to small integers, without data: nearest codes on a grid that fits each block best. Arrays only."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgevlm_export.graph.writer import Array

Codes = NDArray[np.uint8]
Floats = NDArray[np.float32]

CLIPS = {4: (1.0, 0.93, 0.86, 0.79), 8: (1.0,)}
"""By bits, shares of a block's range that are tried: giving up its extremes can buy a finer grid for the rest."""

SLAB = 1 << 22
"""Weights that are worked on at once: bounds the working memory to some tens of megabytes."""


class BlockGrid(NamedTuple):
    """A weight is `(code - zero) * scale`; both arrays are `[outputs, blocks]`, codes have `bits` bits."""

    scales: Floats
    zeros: Codes
    bits: int


def fit_channels(stored: Array) -> Floats:
    """Scales `[outputs]` that map the largest weight of each output to 127."""
    scales: Floats = np.abs(stored).max(axis=1).astype(np.float32) / np.float32(127)
    return np.where(scales == 0, np.float32(1), scales)


def round_to_channels(stored: Array, scales: Floats) -> NDArray[np.int8]:
    """`[outputs, inputs]` to int8 in -127..127. Scales may have lost digits since they were fitted."""
    steps = np.rint(stored.astype(np.float32) / scales[:, np.newaxis])
    codes: NDArray[np.int8] = np.clip(steps, -127, 127).astype(np.int8)
    return codes


def fit_symmetric(stored: Array, bits: int, block: int, dtype: np.dtype[Any]) -> Floats:
    """Scales `[outputs, inputs / block]` around a fixed zero, each exact in `dtype`, with the least squared error."""
    outputs, count = len(stored), stored.shape[1] // block
    scales = np.empty((outputs, count), np.float32)
    for rows in _slabs(stored):
        weights = _in_blocks(stored[rows], count, block)
        largest = np.abs(weights).max(axis=-1, keepdims=True)
        best_error = np.full(weights.shape[:2], np.inf, np.float32)
        for clip in CLIPS[bits]:
            scale = storable(largest * np.float32(clip / (2 ** (bits - 1) - 1)), dtype)
            scale = storable(_fitted_scale(weights, _steps(weights, scale, bits), scale), dtype)
            error = weights - _steps(weights, scale, bits) * scale
            squared = np.einsum("rbk,rbk->rb", error, error)
            better = squared < best_error
            best_error[better] = squared[better]
            scales[rows][better] = scale[..., 0][better]
    return scales


def round_symmetric(stored: Array, scales: Floats, bits: int) -> NDArray[np.int8]:
    """Nearest codes `[outputs, inputs]`."""
    count = scales.shape[1]
    codes = np.empty(stored.shape, np.int8)
    for rows in _slabs(stored):
        weights = _in_blocks(stored[rows], count, stored.shape[1] // count)
        codes[rows] = _steps(weights, scales[rows, :, np.newaxis], bits).reshape(len(weights), -1)
    return codes


def storable(scales: Floats, dtype: np.dtype[Any]) -> Floats:
    """The nearest scales that `dtype` has and that can be divided by."""
    rounded: Floats = np.maximum(scales.astype(dtype), np.finfo(dtype).smallest_subnormal).astype(np.float32)
    return rounded


def fit_blocks(stored: Array, bits: int, block: int) -> BlockGrid:
    """The grid of each block with the least squared error among `CLIPS`; `stored` is `[outputs, inputs]`."""
    outputs, count = len(stored), -(-stored.shape[1] // block)
    scales, zeros = np.empty((outputs, count), np.float32), np.empty((outputs, count), np.uint8)
    for rows in _slabs(stored):
        scales[rows], zeros[rows] = _best_grid(_in_blocks(stored[rows], count, block), bits)
    return BlockGrid(scales, zeros, bits)


def round_to_blocks(stored: Array, grid: BlockGrid, block: int) -> Codes:
    """Nearest codes `[outputs, blocks, block]`; where the last block reaches beyond the inputs, those of zero."""
    outputs, count = grid.scales.shape
    codes = np.empty((outputs, count, block), np.uint8)
    for rows in _slabs(stored):
        weights = _in_blocks(stored[rows], count, block)
        codes[rows] = _codes(weights, grid.scales[rows, :, np.newaxis], grid.zeros[rows, :, np.newaxis], grid.bits)
    return codes


def pack(codes: Codes, bits: int) -> Codes:
    """Codes of 4 bits two a byte along the last dimension, the first in the low half; codes of 8 bits as they are."""
    if bits == 8:
        return codes
    even = codes if codes.shape[-1] % 2 == 0 else np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, 1)])
    packed: Codes = np.bitwise_or(even[..., ::2], np.left_shift(even[..., 1::2], 4), dtype=np.uint8)
    return packed


def _best_grid(weights: Floats, bits: int) -> tuple[Floats, Floats]:
    """Scales and zeros `[rows, blocks]` for `weights` `[rows, blocks, block]`."""
    best_error = np.full(weights.shape[:2], np.inf, np.float32)
    scales, zeros = np.ones_like(best_error), np.zeros_like(best_error)
    for clip in CLIPS[bits]:
        scale, zero = _grid(weights, bits, clip)
        steps = _codes(weights, scale, zero, bits) - zero
        scale = _fitted_scale(weights, steps, scale)
        # codes for the fitted scale: at the edge between two they may differ from those it was fitted to
        error = weights - (_codes(weights, scale, zero, bits) - zero) * scale
        squared = np.einsum("rbk,rbk->rb", error, error)
        better = squared < best_error
        best_error[better] = squared[better]
        scales[better], zeros[better] = scale[..., 0][better], zero[..., 0][better]
    return scales, zeros


def _grid(weights: Floats, bits: int, clip: float) -> tuple[Floats, Floats]:
    """Scale and zero point `[rows, blocks, 1]`: the codes spread over a share of each block's range and 0."""
    last = np.float32(2**bits - 1)
    low = np.minimum(weights.min(axis=-1, keepdims=True) * np.float32(clip), 0)
    high = np.maximum(weights.max(axis=-1, keepdims=True) * np.float32(clip), 0)
    scale = (high - low) / last
    scale[scale == 0] = 1
    return scale, np.rint(-low / scale)


def _codes(weights: Floats, scale: Floats, zero: Array, bits: int) -> Floats:
    codes: Floats = np.clip(np.rint(weights / scale) + zero, 0, 2**bits - 1)
    return codes


def _steps(weights: Floats, scale: Floats, bits: int) -> Floats:
    steps: Floats = np.clip(np.rint(weights / scale), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return steps


def _fitted_scale(weights: Floats, steps: Floats, scale: Floats) -> Floats:
    """Least squares: the scale that brings `steps * scale` nearest to the weights, if any step is taken at all."""
    taken = np.einsum("rbk,rbk->rb", steps, steps)[..., np.newaxis]
    matched = np.einsum("rbk,rbk->rb", weights, steps)[..., np.newaxis]
    return np.where((taken > 0) & (matched > 0), matched / np.maximum(taken, 1), scale)


def _in_blocks(stored: Array, count: int, block: int) -> Floats:
    weights = stored.astype(np.float32)
    missing = count * block - weights.shape[1]
    return np.pad(weights, ((0, 0), (0, missing))).reshape(len(weights), count, block)


def _slabs(stored: Array) -> list[slice]:
    step = max(1, SLAB // stored.shape[1])
    return [slice(first, first + step) for first in range(0, len(stored), step)]
