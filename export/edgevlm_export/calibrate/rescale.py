"""Folds a scale into a model's tensors: what they compute together stays the same. Knows no roundings."""

from functools import partial
from typing import NamedTuple

import numpy as np

from edgevlm_export.calibrate.groups import Group
from edgevlm_export.checkpoint.changed import Changed, Floats
from edgevlm_export.model_source import ModelSource


class Scale(NamedTuple):
    """Positive factors for the channels `[inputs]` that go into a matmul."""

    group: Group
    factors: Floats


def fold(model: ModelSource, scale: Scale) -> None:
    """Multiply the columns of the matmul's weights, and divide what feeds it."""
    group = scale.group
    checkpoint = model.tower if group.part == "vision" else model.weights
    for name in group.tensors:
        checkpoint.put(name, Changed(checkpoint.stored(name), partial(_times, scale.factors)))
    for name in group.fed_by:
        checkpoint.put(name, Changed(checkpoint.stored(name), partial(_rows_times, np.float32(1) / scale.factors)))


def _times(factors: Floats, values: Floats) -> Floats:
    """A factor for each column."""
    values *= factors
    return values


def _rows_times(factors: Floats, values: Floats) -> Floats:
    """A factor for each row of a matrix, or for each value of a norm or a bias."""
    values *= factors[:, np.newaxis] if values.ndim == 2 else factors
    return values
