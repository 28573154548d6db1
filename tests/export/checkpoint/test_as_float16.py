"""Values on their way to float16: rounded as upstream rounds, or refused by the tensor's name."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from edgevlm_export.checkpoint.checkpoint import as_float16, open_checkpoint
from edgevlm_export.errors import CheckpointError

from tests.export.checkpoint.torch_files import Array, write_tensors


def read_half(folder: Path, values: Array) -> Array:
    """The values after a way through a file and `as_float16`."""
    write_tensors(folder / "pytorch_model.bin", {"a": values})
    return as_float16(open_checkpoint(folder).take("a", values.shape))


# the limit of float16, a tie to even, the smallest normal and subnormal numbers, and what vanishes
EXACT = [0.0, -0.0, 1.0, -65504.0, 65519.0, 2049.0, 2051.0, 2.0**-14, 2.0**-24, 2.0**-25, -(2.0**-126)]
ROUNDED = [0.0, -0.0, 1.0, -65504.0, 65504.0, 2048.0, 2052.0, 2.0**-14, 2.0**-24, 0.0, -0.0]


def test_float32_rounds_to_nearest_even(tmp_path: Path) -> None:
    half = read_half(tmp_path, np.array(EXACT, np.float32))
    assert half.dtype == np.float16
    assert half.tobytes() == np.array(ROUNDED, np.float16).tobytes()


def test_bfloat16_goes_through_float32(tmp_path: Path) -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(ml_dtypes.bfloat16)
    single = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)
    fits = np.isfinite(single) & (np.abs(single) < 65520)
    assert read_half(tmp_path, every[fits]).tobytes() == single[fits].astype(np.float16).tobytes()


def test_float16_stays_as_it_is(tmp_path: Path) -> None:
    values = np.arange(0x7C00, dtype=np.uint16).view(np.float16)
    assert read_half(tmp_path, values).tobytes() == values.tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("value", [65536.0, -1e30])
def test_what_does_not_fit_is_refused(tmp_path: Path, dtype: type, value: float) -> None:
    with pytest.raises(CheckpointError, match="'a' holds a value beyond float16's range"):
        read_half(tmp_path, np.array([1.0, value], dtype))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, ml_dtypes.bfloat16])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_refused(tmp_path: Path, dtype: type, value: float) -> None:
    with pytest.raises(CheckpointError, match="'a' holds a value that is not finite"):
        read_half(tmp_path, np.array([1.0, value], dtype))


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_integers_are_no_weights(tmp_path: Path, dtype: type) -> None:
    with pytest.raises(CheckpointError, match="where real numbers are needed"):
        read_half(tmp_path, np.ones(2, dtype))
