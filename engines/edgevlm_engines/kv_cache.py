"""The KV cache: buffers and copies of parts of them, here in host memory, in `cuda/` on a device. Knows no model.

Buffers are zeroed when allocated: positions past a slot's end take part in matmuls with weight zero, and
0 x NaN would be NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int, int, int]
"""`(slots, kv_heads, max_length, head_dim)`."""


@dataclass(slots=True)
class Copied:
    """Positions `start..start+length-1` of one slot, from every buffer: `[buffers, kv_heads, length, head_dim]`.

    `data` is an array, or the address of one on a device; `release` gives it back.
    """

    start: int
    length: int
    data: Any
    release: Callable[[], None]

    def free(self) -> None:
        release, self.release = self.release, lambda: None
        self.data = None
        release()


class Cache(Protocol):
    """`count` equal buffers of one shape."""

    shape: Shape

    def pointer(self, buffer: int, slot: int) -> int:
        """Address of the first element of a slot."""
        ...

    def move_slot(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of a slot over another, in every buffer."""
        ...

    def copy_out(self, slot: int, start: int, stop: int) -> Copied:
        """A copy of some positions of a slot. Raises `MemoryError` if there is no room for it."""
        ...

    def copy_in(self, slot: int, copied: Copied, length: int) -> None:
        """Put the first `length` positions of a copy into a slot, at the positions that they had."""
        ...

    def free(self) -> None:
        """Give the memory back. Calling it again does nothing."""
        ...


class CpuCache:
    """Buffers in host memory."""

    def __init__(self, count: int, shape: Shape, dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self._buffers: list[NDArray[Any]] = [np.zeros(shape, dtype) for _ in range(count)]

    def pointer(self, buffer: int, slot: int) -> int:
        return int(self._buffers[buffer][slot].ctypes.data)

    def move_slot(self, source: int, target: int, length: int) -> None:
        for buffer in self._buffers:
            buffer[target, :, :length] = buffer[source, :, :length]

    def copy_out(self, slot: int, start: int, stop: int) -> Copied:
        data = np.stack([buffer[slot, :, start:stop] for buffer in self._buffers])
        return Copied(start, stop - start, data, lambda: None)

    def copy_in(self, slot: int, copied: Copied, length: int) -> None:
        positions = slice(copied.start, copied.start + length)
        for buffer, data in zip(self._buffers, copied.data, strict=True):
            buffer[slot, :, positions] = data[:, :length]

    def free(self) -> None:
        self._buffers.clear()
