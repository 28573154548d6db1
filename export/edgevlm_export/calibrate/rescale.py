"""Folds a scale into a model's tensors: what they compute together stays the same. Knows no roundings."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from edgevlm_export.calibrate.groups import Group
from edgevlm_export.checkpoint.checkpoint import TensorSource, as_float16
from edgevlm_export.graph.quantise import Floats
from edgevlm_export.model_source import ModelSource


class Scale(NamedTuple):
    """Positive factors for the channels `[inputs]` that go into a matmul."""

    group: Group
    factors: Floats


@dataclass(frozen=True)
class Rescaled:
    """A tensor times a factor for each column, or for each row."""

    base: TensorSource
    factors: Floats
    by_row: bool
    dtype = np.dtype(np.float32)

    @property
    def name(self) -> str:
        return self.base.name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.base.shape

    def read(self) -> np.ndarray[Any, np.dtype[Any]]:
        values = as_float16(self.base).astype(np.float32)
        matrix = self.by_row and values.ndim == 2
        scaled: Floats = values * (self.factors[:, np.newaxis] if matrix else self.factors)
        return scaled


def fold(model: ModelSource, scale: Scale) -> None:
    """Multiply the columns of the matmul's weights, and divide what feeds it."""
    group = scale.group
    checkpoint = model.tower if group.part == "vision" else model.weights
    for name in group.tensors:
        checkpoint.put(name, Rescaled(checkpoint.stored(name), scale.factors, by_row=False))
    for name in group.fed_by:
        checkpoint.put(name, Rescaled(checkpoint.stored(name), np.float32(1) / scale.factors, by_row=True))
