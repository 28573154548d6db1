"""Codes and grids: what comes back is near, never worse than plain rounding, and packed as ONNX Runtime reads it."""

from typing import Any

import numpy as np
import pytest
from edgevlm_export.graph.quantise import (
    BlockGrid,
    fit_blocks,
    fit_channels,
    fit_symmetric,
    pack,
    round_symmetric,
    round_to_blocks,
    round_to_channels,
    storable,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

BLOCK = 16
Floats = NDArray[np.floating[Any]]

weights = arrays(
    np.float16,
    st.tuples(st.integers(1, 4), st.integers(1, 40)),
    elements=st.floats(-100, 100, width=16),
)


def restored(stored: Floats, grid: BlockGrid) -> Floats:
    codes = round_to_blocks(stored, grid, BLOCK).astype(np.float32)
    blocks = (codes - grid.zeros[..., np.newaxis]) * grid.scales[..., np.newaxis]
    flat: Floats = blocks.reshape(len(stored), -1)
    return flat[:, : stored.shape[1]]


def plainly_rounded(stored: Floats, bits: int) -> Floats:
    """Round to nearest over each block's whole range with 0 in it: the reference to be at least as good as."""
    missing = -stored.shape[1] % BLOCK
    blocks = np.pad(stored.astype(np.float32), ((0, 0), (0, missing))).reshape(len(stored), -1, BLOCK)
    low, high = np.minimum(blocks.min(-1, keepdims=True), 0), np.maximum(blocks.max(-1, keepdims=True), 0)
    scale = np.where(high > low, (high - low) / (2**bits - 1), 1)
    zero = np.rint(-low / scale)
    codes = np.clip(np.rint(blocks / scale) + zero, 0, 2**bits - 1)
    flat: Floats = ((codes - zero) * scale).reshape(len(stored), -1)
    return flat[:, : stored.shape[1]]


@given(stored=weights, bits=st.sampled_from([4, 8]))
@settings(deadline=None)
def test_the_fitted_grid_is_never_worse_than_plain_rounding(stored: Floats, bits: int) -> None:
    grid = fit_blocks(stored, bits, BLOCK)
    assert np.isfinite(grid.scales).all() and (grid.scales > 0).all()
    exact = stored.astype(np.float32)
    ours = ((restored(stored, grid) - exact) ** 2).sum()
    plain = ((plainly_rounded(stored, bits) - exact) ** 2).sum()
    assert ours <= plain * 1.001 + 1e-9


def test_it_is_clearly_better_where_weights_are_as_they_usually_are() -> None:
    stored = np.random.default_rng(1).standard_normal((64, 256)).astype(np.float16)
    grid = fit_blocks(stored, 4, BLOCK)
    ours = ((restored(stored, grid) - stored) ** 2).sum()
    assert ours < 0.95 * ((plainly_rounded(stored, 4) - stored) ** 2).sum()


@pytest.mark.parametrize("bits", [4, 8])
def test_zeros_stay_zeros(bits: int) -> None:
    stored = np.zeros((3, 40), np.float16)
    stored[1, :16] = np.arange(16)
    assert not restored(stored, fit_blocks(stored, bits, BLOCK))[[0, 2]].any()


def test_slabs_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = np.random.default_rng(2).standard_normal((50, 48)).astype(np.float16)
    whole = fit_blocks(stored, 4, BLOCK)
    codes = round_to_blocks(stored, whole, BLOCK)
    monkeypatch.setattr("edgevlm_export.graph.quantise.SLAB", 7 * 48)
    again = fit_blocks(stored, 4, BLOCK)
    np.testing.assert_array_equal(again.scales, whole.scales)
    np.testing.assert_array_equal(again.zeros, whole.zeros)
    np.testing.assert_array_equal(round_to_blocks(stored, again, BLOCK), codes)


def test_two_codes_of_four_bits_share_a_byte_the_first_below() -> None:
    codes = np.array([[1, 2, 3], [15, 0, 7]], np.uint8)
    assert pack(codes, 4).tolist() == [[0x21, 0x03], [0x0F, 0x07]]
    assert pack(codes, 8) is codes


@given(stored=weights)
@settings(deadline=None)
def test_channels_are_off_by_half_a_step_at_most(stored: Floats) -> None:
    scales = fit_channels(stored)
    codes = round_to_channels(stored, scales)
    assert codes.min() >= -127
    error = np.abs(codes * scales[:, np.newaxis] - stored.astype(np.float32))
    assert (error <= scales[:, np.newaxis] * 0.5001).all()


@given(
    stored=arrays(np.float16, st.tuples(st.integers(1, 4), st.just(64)), elements=st.floats(-100, 100, width=16)),
    bits=st.sampled_from([4, 8]),
)
@settings(deadline=None)
def test_the_symmetric_grid_is_never_worse_than_plain_rounding_with_scales_in_float16(
    stored: Floats, bits: int
) -> None:
    scales = fit_symmetric(stored, bits, BLOCK, np.dtype(np.float16))
    np.testing.assert_array_equal(scales.astype(np.float16), scales)
    assert (scales > 0).all()
    codes = round_symmetric(stored, scales, bits)
    assert -(2 ** (bits - 1)) <= codes.min() and codes.max() < 2 ** (bits - 1)
    exact = stored.astype(np.float32)
    blocks = exact.reshape(len(stored), -1, BLOCK)
    steps = (np.abs(blocks).max(-1, keepdims=True) / (2 ** (bits - 1) - 1)).astype(np.float32)
    largest = storable(steps, np.dtype(np.float16))
    plain = np.clip(np.rint(blocks / largest), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) * largest
    ours = codes.reshape(blocks.shape) * scales[..., np.newaxis]
    # least squares may lose a digit of the scale to float16
    assert ((ours - blocks) ** 2).sum() <= ((plain - blocks) ** 2).sum() * 1.01 + 1e-9


def test_symmetric_slabs_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = np.random.default_rng(2).standard_normal((50, 48)).astype(np.float16)
    scales = fit_symmetric(stored, 4, BLOCK, np.dtype(np.float16))
    codes = round_symmetric(stored, scales, 4)
    monkeypatch.setattr("edgevlm_export.graph.quantise.SLAB", 7 * 48)
    np.testing.assert_array_equal(fit_symmetric(stored, 4, BLOCK, np.dtype(np.float16)), scales)
    np.testing.assert_array_equal(round_symmetric(stored, scales, 4), codes)


def test_weights_too_small_for_a_scale_in_float16_neither_divide_by_zero_nor_wrap() -> None:
    stored = np.array([[6e-8, -6e-8, 0, 6e-8], [1e-5, 2e-5, -1.27e-4, 9e-5]], np.float16)
    scales = storable(fit_channels(stored), np.dtype(np.float16))
    codes = round_to_channels(stored, scales)
    assert np.abs(codes.astype(int)).max() <= 127
    np.testing.assert_allclose(codes * scales[:, np.newaxis], stored.astype(np.float32), atol=6e-7)
