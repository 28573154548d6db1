"""A thin, checked layer on CUDA: memory, streams, copies, captured graphs. Knows no models and no TensorRT.

Works with cuda-python 12.6 and cuda-bindings 13, whose functions return a status and then their results. Run on a PC
with the latter, not yet on a Jetson. There is one device, as in every Jetson.
"""

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from cuda.bindings import runtime
from numpy.typing import NDArray

from edgevlm_engines.errors import CudaError

DEVICE = 0


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a CUDA function returns after its status, `None` if nothing. Raises `CudaError` that names both."""
    try:
        status, *results = function(*arguments)
    except RuntimeError as error:  # how the bindings say that the driver or a library is missing
        raise CudaError(function.__name__, str(error).rstrip(".")) from None
    if status.value != 0:
        runtime.cudaGetLastError()  # or the next caller of the runtime would be told of it again
        raise CudaError(function.__name__, status.name)
    return results[0] if len(results) == 1 else tuple(results) or None


def enter_thread() -> None:
    """Make the device this thread's own. The driver's functions refuse threads in which nothing has done so."""
    call(runtime.cudaSetDevice, DEVICE)


class Device(NamedTuple):
    """The GPU: `compute` is its capability, such as `(8, 7)`."""

    name: str
    compute: tuple[int, int]


def device() -> Device:
    """What this machine has. Raises `CudaError` if that is no GPU."""
    properties = call(runtime.cudaGetDeviceProperties, DEVICE)
    name = properties.name.split(b"\0")[0].decode("ascii", "replace")
    return Device(name, (properties.major, properties.minor))


def free_memory() -> int:
    """Bytes that the device could still hand out."""
    free, _ = call(runtime.cudaMemGetInfo)
    return int(free)


def fits_alone(size: int) -> bool:
    """Whether the device has so many bytes, if no one else has any of them."""
    _, total = call(runtime.cudaMemGetInfo)
    return size < int(total)


class Stream:
    """Work in order. It and the default stream do not wait for each other.

    Work on an `urgent` stream goes before work that waits on others.
    """

    def __init__(self, *, urgent: bool) -> None:
        least, greatest = call(runtime.cudaDeviceGetStreamPriorityRange)
        priority = greatest if urgent else least
        self.handle = call(runtime.cudaStreamCreateWithPriority, runtime.cudaStreamNonBlocking, priority)

    @property
    def number(self) -> int:
        """As TensorRT wants it."""
        return int(self.handle)

    def synchronize(self) -> None:
        """Wait until all work is done. What went wrong in it is raised here."""
        call(runtime.cudaStreamSynchronize, self.handle)

    def free(self) -> None:
        call(runtime.cudaStreamDestroy, self.handle)


class DeviceMemory:
    """Uninitialised bytes of the device, from an address that is a multiple of 256."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.address = int(call(runtime.cudaMalloc, size))

    def zero(self, stream: Stream) -> None:
        call(runtime.cudaMemsetAsync, self.address, 0, self.size, stream.handle)

    def upload(self, array: NDArray[Any]) -> None:
        """Copy an array to the front, before any stream reads it."""
        assert array.flags.c_contiguous and array.nbytes <= self.size
        kind = runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        call(runtime.cudaMemcpy, self.address, array.ctypes.data, array.nbytes, kind)
        # from pageable memory it may return before the data is there, and streams of ours do not wait for it
        call(runtime.cudaDeviceSynchronize)

    def free(self) -> None:
        call(runtime.cudaFree, self.address)


class SharedArray:
    """An array of the host and its twin on the device, at `address`, both zeroed; copies go along the first axis.

    Kernels get the twin: across PCIe each of their reads of the host's memory would take a microsecond. `array` must
    not be touched between enqueueing a copy and waiting for the stream, nor after `free`.
    """

    def __init__(self, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        # page-locked, or copies would not run in the order of the stream
        self._pointer = int(call(runtime.cudaHostAlloc, size, runtime.cudaHostAllocDefault))
        memory = memoryview((ctypes.c_char * size).from_address(self._pointer))
        self.array: NDArray[Any] = np.frombuffer(memory, dtype).reshape(shape)
        self.array[:] = 0
        self._item_bytes = size // shape[0]
        try:
            self._twin = DeviceMemory(size)
        except CudaError:
            call(runtime.cudaFreeHost, self._pointer)
            raise
        self._twin.upload(self.array)
        self.address = self._twin.address

    def send(self, count: int, stream: Stream) -> None:
        """Copy the first `count` items to the device."""
        kind = runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        size = count * self._item_bytes
        call(runtime.cudaMemcpyAsync, self.address, self._pointer, size, kind, stream.handle)

    def fetch(self, count: int, stream: Stream) -> None:
        """Copy the first `count` items from the device."""
        kind = runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        size = count * self._item_bytes
        call(runtime.cudaMemcpyAsync, self._pointer, self.address, size, kind, stream.handle)

    def free(self) -> None:
        self.array = self.array[:0].copy()
        self._twin.free()
        call(runtime.cudaFreeHost, self._pointer)


class HostArray:
    """A zeroed array of the host that the device reads and writes in place, at `address`: nothing is copied.

    For kernels that read each element once, where they wait for it anyway, or write it while others still run.
    `array` must not be touched between enqueueing work that uses it and waiting for the stream, nor after `free`.
    """

    def __init__(self, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self._pointer = int(call(runtime.cudaHostAlloc, size, runtime.cudaHostAllocMapped))
        self.address = int(call(runtime.cudaHostGetDevicePointer, self._pointer, 0))
        memory = memoryview((ctypes.c_char * size).from_address(self._pointer))
        self.array: NDArray[Any] = np.frombuffer(memory, dtype).reshape(shape)
        self.array[:] = 0

    def free(self) -> None:
        self.array = self.array[:0].copy()
        call(runtime.cudaFreeHost, self._pointer)


class Graph:
    """Work that was captured once and runs again at one call, on the same addresses."""

    def __init__(self, executable: Any) -> None:
        self._executable = executable

    def launch(self, stream: Stream) -> None:
        call(runtime.cudaGraphLaunch, self._executable, stream.handle)

    def free(self) -> None:
        call(runtime.cudaGraphExecDestroy, self._executable)


def capture(stream: Stream, work: Callable[[], None]) -> Graph:
    """Record what `work` enqueues on the stream, without running it. It may neither wait nor allocate.

    Other threads may do both: a picture may be encoded on another stream meanwhile.
    """
    mode = runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
    call(runtime.cudaStreamBeginCapture, stream.handle, mode)
    try:
        work()
    except BaseException:
        # the stream must leave the capture; that this fails too would hide what failed first
        status, graph = runtime.cudaStreamEndCapture(stream.handle)
        if status.value == 0:
            call(runtime.cudaGraphDestroy, graph)
        raise
    graph = call(runtime.cudaStreamEndCapture, stream.handle)
    try:
        return Graph(call(runtime.cudaGraphInstantiate, graph, 0))
    finally:
        call(runtime.cudaGraphDestroy, graph)


class Lines(NamedTuple):
    """Equal stretches of the device's memory: the first one's address, and bytes from one to the next."""

    address: int
    pitch: int


def copy_lines(to: Lines, start: Lines, width: int, count: int, stream: Stream) -> None:
    """Copy `count` stretches of `width` bytes."""
    kind = runtime.cudaMemcpyKind.cudaMemcpyDeviceToDevice
    call(
        runtime.cudaMemcpy2DAsync,
        *(to.address, to.pitch),
        *(start.address, start.pitch),
        *(width, count),
        kind,
        stream.handle,
    )
