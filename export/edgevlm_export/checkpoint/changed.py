"""A tensor that is made from a stored one whenever it is read. Knows no adapters and no scales.

In float32, whatever it is stored in and however often it is changed: it is rounded once, where it is written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevlm_export.checkpoint.checkpoint import TensorSource, as_float32

Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Changed:
    """`change` makes the values out of those of `base`, which are its own to write to; their shape stays."""

    base: TensorSource
    change: Callable[[Floats], Floats]
    dtype = np.dtype(np.float32)

    @property
    def name(self) -> str:
        return self.base.name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.base.shape

    def read(self) -> Floats:
        return self.change(as_float32(self.base))
