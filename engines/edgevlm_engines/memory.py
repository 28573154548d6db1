"""Where the KV cache lies: plain buffers on the host or on a CUDA device, with row copies. Knows no model.

Buffers are zeroed when allocated: positions past a row's end take part in products with weight zero, and
0 x NaN would be NaN.
"""

from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgevlm_engines.errors import EngineLoadError

Shape = tuple[int, int, int, int]
"""`(rows, kv_heads, max_length, head_dim)`."""


class Cache(Protocol):
    """`count` equal buffers of one shape."""

    shape: Shape

    def pointer(self, buffer: int, row: int) -> int:
        """Address of the first element of a row."""
        ...

    def move_row(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of a row over another, in every buffer."""
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

    def free(self) -> None:
        self._buffers.clear()


class CudaCache:
    """Buffers in device memory, through the CUDA runtime. Written from its documentation, not yet run on a GPU."""

    def __init__(self, count: int, shape: Shape, dtype: np.dtype[Any]) -> None:
        from cuda.bindings import runtime

        self.shape = shape
        self._runtime = runtime
        self._position_bytes = shape[3] * dtype.itemsize
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
        heads, pitch = self.shape[1], self.shape[2] * self._position_bytes
        width = length * self._position_bytes
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        for buffer in range(len(self._pointers)):
            to, start = self.pointer(buffer, target), self.pointer(buffer, source)
            self._check(*self._runtime.cudaMemcpy2D(to, pitch, start, pitch, width, heads, kind))
        # ONNX Runtime computes on a stream of its own, which does not wait for this copy
        self._check(*self._runtime.cudaDeviceSynchronize())

    def free(self) -> None:
        while self._pointers:
            self._check(*self._runtime.cudaFree(self._pointers.pop()))

    def _check(self, status: Any, result: Any = 0) -> int:
        if status != self._runtime.cudaError_t.cudaSuccess:
            raise RuntimeError(f"CUDA call failed: {status.name}")
        return int(result)
