"""Where the KV cache lies: plain buffers on the host or on a CUDA device, with copies. Knows no model.

Buffers are zeroed when allocated: positions past a row's end take part in products with weight zero, and
0 x NaN would be NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgevlm_engines.errors import EngineLoadError

Shape = tuple[int, int, int, int]
"""`(rows, kv_heads, max_length, head_dim)`."""


@dataclass(slots=True)
class Copied:
    """Positions `start..start+length-1` of one row, from every buffer: `[buffers, kv_heads, length, head_dim]`.

    `data` is an array, or the address of one on a device; `release` gives it back.
    """

    start: int
    length: int
    nbytes: int
    data: Any
    release: Callable[[], None]

    def free(self) -> None:
        release, self.release = self.release, lambda: None
        self.data = None
        release()


class Cache(Protocol):
    """`count` equal buffers of one shape."""

    shape: Shape

    def pointer(self, buffer: int, row: int) -> int:
        """Address of the first element of a row."""
        ...

    def move_row(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of a row over another, in every buffer."""
        ...

    def copy_out(self, row: int, start: int, stop: int) -> Copied:
        """A copy of some positions of a row. Raises `MemoryError` if there is no room for it."""
        ...

    def copy_in(self, row: int, copied: Copied, length: int) -> None:
        """Put the first `length` positions of a copy into a row, at the positions that they had."""
        ...

    def free(self) -> None:
        """Give the memory back. Calling it again does nothing."""
        ...


class CpuCache:
    """Buffers in host memory."""

    def __init__(self, count: int, shape: Shape, dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self._buffers: list[NDArray[Any]] = [np.zeros(shape, dtype) for _ in range(count)]

    def pointer(self, buffer: int, row: int) -> int:
        return int(self._buffers[buffer][row].ctypes.data)

    def move_row(self, source: int, target: int, length: int) -> None:
        for buffer in self._buffers:
            buffer[target, :, :length] = buffer[source, :, :length]

    def copy_out(self, row: int, start: int, stop: int) -> Copied:
        data = np.stack([buffer[row, :, start:stop] for buffer in self._buffers])
        return Copied(start, stop - start, data.nbytes, data, lambda: None)

    def copy_in(self, row: int, copied: Copied, length: int) -> None:
        positions = slice(copied.start, copied.start + length)
        for buffer, data in zip(self._buffers, copied.data, strict=True):
            buffer[row, :, positions] = data[:, :length]

    def free(self) -> None:
        self._buffers.clear()


class CudaCache:
    """Buffers in device memory, through the CUDA runtime. Written from its documentation, not yet run on a GPU."""

    def __init__(self, count: int, shape: Shape, dtype: np.dtype[Any]) -> None:
        from cuda.bindings import runtime

        self.shape = shape
        self._runtime = runtime
        self._vector_bytes = shape[3] * dtype.itemsize
        self._row_bytes = prod(shape[1:]) * dtype.itemsize
        self._pointers: list[int] = []
        try:
            for _ in range(count):
                self._pointers.append(self._check(*runtime.cudaMalloc(shape[0] * self._row_bytes)))
                self._check(*runtime.cudaMemset(self._pointers[-1], 0, shape[0] * self._row_bytes))
            self._check(*runtime.cudaDeviceSynchronize())
        except RuntimeError as error:
            self.free()
            size = count * shape[0] * self._row_bytes / 2**20
            raise EngineLoadError(f"The KV cache of {size:.0f} MiB cannot be allocated: {error}.") from None

    def pointer(self, buffer: int, row: int) -> int:
        return self._pointers[buffer] + row * self._row_bytes

    def move_row(self, source: int, target: int, length: int) -> None:
        pitch, width = self._pitch, length * self._vector_bytes
        for buffer in range(len(self._pointers)):
            self._copy(self.pointer(buffer, target), pitch, self.pointer(buffer, source), pitch, width)
        self._wait()

    def copy_out(self, row: int, start: int, stop: int) -> Copied:
        width = (stop - start) * self._vector_bytes
        size = width * self.shape[1]
        status, pointer = self._runtime.cudaMalloc(size * len(self._pointers))
        if status == self._runtime.cudaError_t.cudaErrorMemoryAllocation:
            self._runtime.cudaGetLastError()  # or the next caller of the runtime would be told of it again
            raise MemoryError("the device has no room for a copy of the cache")
        data = self._check(status, pointer)
        for buffer in range(len(self._pointers)):
            source = self.pointer(buffer, row) + start * self._vector_bytes
            self._copy(data + buffer * size, width, source, self._pitch, width)
        self._wait()
        return Copied(start, stop - start, size * len(self._pointers), data, lambda: self._release(data))

    def copy_in(self, row: int, copied: Copied, length: int) -> None:
        pitch, width = copied.length * self._vector_bytes, length * self._vector_bytes
        for buffer in range(len(self._pointers)):
            target = self.pointer(buffer, row) + copied.start * self._vector_bytes
            self._copy(target, self._pitch, copied.data + buffer * pitch * self.shape[1], pitch, width)
        self._wait()

    def free(self) -> None:
        while self._pointers:
            self._release(self._pointers.pop())

    @property
    def _pitch(self) -> int:
        """Bytes from one head of a row to the next."""
        return self.shape[2] * self._vector_bytes

    def _copy(self, to: int, to_pitch: int, start: int, start_pitch: int, width: int) -> None:
        """`width` bytes of every head."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        self._check(*self._runtime.cudaMemcpy2D(to, to_pitch, start, start_pitch, width, self.shape[1], kind))

    def _wait(self) -> None:
        """ONNX Runtime computes on a stream of its own, which does not wait for copies."""
        self._check(*self._runtime.cudaDeviceSynchronize())

    def _release(self, pointer: int) -> None:
        self._check(*self._runtime.cudaFree(pointer))

    def _check(self, status: Any, result: Any = 0) -> int:
        if status != self._runtime.cudaError_t.cudaSuccess:
            raise RuntimeError(f"CUDA call failed: {status.name}")
        return int(result)
