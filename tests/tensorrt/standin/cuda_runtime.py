"""`cuda.bindings.runtime`, as far as the product uses it: the same names, arguments and tuples, a status first."""

import threading
from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from types import SimpleNamespace
from typing import Any

from tests.tensorrt.standin.machine import Machine, Stream, Work, host_bytes


class cudaError_t(IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorDevicesUnavailable = 46
    cudaErrorNoDevice = 100
    cudaErrorIllegalAddress = 700
    cudaErrorStreamCaptureUnsupported = 900
    cudaErrorStreamCaptureInvalidated = 901


class cudaMemcpyKind(IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2
    cudaMemcpyDeviceToDevice = 3


class cudaStreamCaptureMode(IntEnum):
    cudaStreamCaptureModeGlobal = 0
    cudaStreamCaptureModeThreadLocal = 1
    cudaStreamCaptureModeRelaxed = 2


OK = cudaError_t.cudaSuccess
WAITS_OR_ALLOCATES = {
    *("cudaMalloc", "cudaFree", "cudaHostAlloc", "cudaFreeHost"),
    *("cudaMemcpy", "cudaDeviceSynchronize", "cudaStreamCreateWithPriority"),
}
Function = Callable[..., tuple[Any, ...]]


class Handle(int):
    """A stream or a graph: something that `int` makes a number of."""


def names(machine: Machine) -> dict[str, object]:
    """Everything that the module holds."""
    functions = {name: getattr(_Runtime(machine), name) for name in dir(_Runtime) if name.startswith("cuda")}
    return {
        **{name: _called(machine, name, function) for name, function in functions.items()},
        "cudaError_t": cudaError_t,
        "cudaMemcpyKind": cudaMemcpyKind,
        "cudaStreamCaptureMode": cudaStreamCaptureMode,
        "cudaHostAllocDefault": 0,
        "cudaHostAllocMapped": 2,
        "cudaStreamNonBlocking": 1,
    }


def _called(machine: Machine, name: str, function: Function) -> Function:
    """Recorded, failing where a test wants it, and forbidden where a capture forbids it."""

    @wraps(function)
    def call(*arguments: Any) -> tuple[Any, ...]:
        machine.record(name)
        machine.enter()
        if name in machine.fail:
            if name == "cudaStreamEndCapture":  # ends it all the same
                machine.stream(arguments[0]).captured = None
            return (cudaError_t[machine.fail[name]], None)
        if name in WAITS_OR_ALLOCATES and machine.breaks_capture(name):
            return (cudaError_t.cudaErrorStreamCaptureUnsupported, None)
        return function(*arguments)

    return call


class _Runtime:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def cudaSetDevice(self, device: int) -> tuple[Any, ...]:
        return (OK if device == 0 else cudaError_t.cudaErrorInvalidValue,)

    def cudaGetLastError(self) -> tuple[Any, ...]:
        return (OK,)

    def cudaGetDeviceProperties(self, device: int) -> tuple[Any, ...]:
        machine = self._machine
        major, minor = machine.compute
        name = machine.name.encode().ljust(256, b"\0")
        return OK, SimpleNamespace(name=name, major=major, minor=minor, multiProcessorCount=16)

    def cudaMemGetInfo(self) -> tuple[Any, ...]:
        return OK, self._machine.capacity - self._machine.used(), self._machine.capacity

    def cudaDeviceSynchronize(self) -> tuple[Any, ...]:
        for stream in list(self._machine.streams.values()):
            self._machine.drain(stream)
        return (OK,)

    def cudaMalloc(self, size: int) -> tuple[Any, ...]:
        return self._allocated("device", size)

    def cudaFree(self, address: int) -> tuple[Any, ...]:
        self._machine.release("device", address)
        return (OK,)

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[Any, ...]:
        assert flags in (0, 2)
        return self._allocated("mapped" if flags else "pinned", size)

    def cudaHostGetDevicePointer(self, pointer: int, flags: int) -> tuple[Any, ...]:
        self._machine.bytes_at(pointer, 1, "cudaHostGetDevicePointer", "mapped")
        return OK, pointer

    def cudaFreeHost(self, pointer: int) -> tuple[Any, ...]:
        block = self._machine.blocks.get(pointer)
        self._machine.release("mapped" if block and block.kind == "mapped" else "pinned", pointer)
        return (OK,)

    def cudaMemcpy(self, to: int, start: int, size: int, kind: cudaMemcpyKind) -> tuple[Any, ...]:
        if kind is cudaMemcpyKind.cudaMemcpyHostToDevice:
            self._machine.bytes_at(to, size, "cudaMemcpy")[:] = host_bytes(start, size)
        else:
            assert kind is cudaMemcpyKind.cudaMemcpyDeviceToHost
            host_bytes(to, size)[:] = self._machine.bytes_at(start, size, "cudaMemcpy")
        return (OK,)

    def cudaMemcpyAsync(
        self, to: int, start: int, size: int, kind: cudaMemcpyKind, stream: Handle
    ) -> tuple[Any, ...]:
        places = {
            cudaMemcpyKind.cudaMemcpyHostToDevice: ("device", "pinned"),
            cudaMemcpyKind.cudaMemcpyDeviceToHost: ("pinned", "device"),
        }[kind]

        def copy() -> None:
            target, source = (
                self._machine.bytes_at(address, size, "cudaMemcpyAsync", place)
                for address, place in zip((to, start), places, strict=True)
            )
            target[:] = source

        self._machine.submit(stream, Work(copy))
        return (OK,)

    def cudaMemsetAsync(self, address: int, value: int, size: int, stream: Handle) -> tuple[Any, ...]:
        data = self._machine.bytes_at(address, size, "cudaMemsetAsync")
        self._machine.submit(stream, Work(lambda: data.fill(value)))
        return (OK,)

    def cudaMemcpy2DAsync(
        self,
        to: int,
        to_pitch: int,
        start: int,
        start_pitch: int,
        width: int,
        height: int,
        kind: cudaMemcpyKind,
        stream: Handle,
    ) -> tuple[Any, ...]:
        if width > to_pitch or width > start_pitch:
            return (cudaError_t.cudaErrorInvalidValue,)
        assert kind is cudaMemcpyKind.cudaMemcpyDeviceToDevice

        def copy() -> None:
            for line in range(height):
                source = self._machine.bytes_at(start + line * start_pitch, width, "cudaMemcpy2DAsync")
                self._machine.bytes_at(to + line * to_pitch, width, "cudaMemcpy2DAsync")[:] = source

        self._machine.submit(stream, Work(copy))
        return (OK,)

    def cudaDeviceGetStreamPriorityRange(self) -> tuple[Any, ...]:
        return OK, 0, -5

    def cudaStreamCreateWithPriority(self, flags: int, priority: int) -> tuple[Any, ...]:
        assert flags == 1, "it would wait for the default stream"
        handle = Handle(self._machine.handle())
        self._machine.streams[handle] = Stream(priority)
        return OK, handle

    def cudaStreamSynchronize(self, handle: Handle) -> tuple[Any, ...]:
        stream = self._machine.stream(handle)
        if stream.captured is not None:
            stream.broken = True
            self._machine.violations.append("cudaStreamSynchronize of a stream that is captured")
            return (cudaError_t.cudaErrorStreamCaptureUnsupported,)
        self._machine.drain(stream)
        return (OK,)

    def cudaStreamDestroy(self, handle: Handle) -> tuple[Any, ...]:
        if self._machine.stream(handle).pending:
            raise self._machine.violate("a stream is destroyed with work on it")
        del self._machine.streams[handle]
        return (OK,)

    def cudaStreamBeginCapture(self, handle: Handle, mode: cudaStreamCaptureMode) -> tuple[Any, ...]:
        stream = self._machine.stream(handle)
        if stream.captured is not None:
            return (cudaError_t.cudaErrorInvalidValue,)
        stream.captured, stream.capturer, stream.broken = [], threading.get_ident(), False
        stream.everywhere = mode is cudaStreamCaptureMode.cudaStreamCaptureModeGlobal
        return (OK,)

    def cudaStreamEndCapture(self, handle: Handle) -> tuple[Any, ...]:
        stream = self._machine.stream(handle)
        captured, stream.captured = stream.captured, None
        if captured is None or stream.broken:
            return cudaError_t.cudaErrorStreamCaptureInvalidated, Handle(0)
        return OK, self._graph(captured)

    def cudaGraphInstantiate(self, graph: Handle, flags: int) -> tuple[Any, ...]:
        return OK, self._graph(self._machine.graphs[graph])

    def cudaGraphLaunch(self, graph: Handle, stream: Handle) -> tuple[Any, ...]:
        for work in self._machine.graphs[graph]:
            work.check()
            self._machine.submit(stream, work)
        return (OK,)

    def cudaGraphDestroy(self, graph: Handle) -> tuple[Any, ...]:
        del self._machine.graphs[graph]
        return (OK,)

    cudaGraphExecDestroy = cudaGraphDestroy

    def _allocated(self, kind: str, size: int) -> tuple[Any, ...]:
        if size <= 0:
            return cudaError_t.cudaErrorInvalidValue, None
        address = self._machine.allocate(kind, size)
        return (cudaError_t.cudaErrorMemoryAllocation, None) if address is None else (OK, address)

    def _graph(self, work: list[Work]) -> Handle:
        handle = Handle(self._machine.handle())
        self._machine.graphs[handle] = list(work)
        return handle
