"""Changes upon changes are computed in float32, and rounded once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from edgevlm_export.checkpoint.changed import Changed
from edgevlm_export.checkpoint.checkpoint import as_float16
from edgevlm_export.errors import CheckpointError


@dataclass(frozen=True)
class Stored:
    values: np.ndarray[Any, np.dtype[Any]]
    name: str = "weight"

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.values.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.values.dtype

    def read(self) -> np.ndarray[Any, np.dtype[Any]]:
        return self.values


def test_what_lies_between_may_be_beyond_float16() -> None:
    stored = Stored(np.array([[60000.0, 1 / 3]], np.float32))
    there_and_back = Changed(
        Changed(stored, lambda values: values * np.float32(3)), lambda values: values * np.float32(1 / 3)
    )
    np.testing.assert_array_equal(as_float16(there_and_back), stored.values.astype(np.float16))
    assert (there_and_back.name, there_and_back.shape) == ("weight", (1, 2))
    with pytest.raises(CheckpointError, match="beyond float16's range"):
        as_float16(Changed(stored, lambda values: values * np.float32(3)))


def test_whole_numbers_are_not_made_real() -> None:
    with pytest.raises(CheckpointError, match="real numbers are needed"):
        Changed(Stored(np.ones((2, 2), np.int64)), lambda values: values).read()
