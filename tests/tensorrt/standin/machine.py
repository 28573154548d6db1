"""The machine behind the stand-ins: memory that is checked, streams whose work waits, captures, a record of calls.

Nothing enqueued runs before its stream is waited for. Memory is handed out full of NaN, with guards around it, and
never twice.
"""

import ctypes
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 256
GARBAGE = 0xFF
"""As float16 and float32 it is NaN."""

MAPPED = "mapped"
"""The kind of memory that host and device both use in place."""

Bytes = NDArray[np.uint8]


class Violation(AssertionError):
    """What CUDA or TensorRT would answer with a wrong result, a crash, or nothing at all."""


class Call(NamedTuple):
    name: str
    thread: int
    details: dict[str, Any]


@dataclass(slots=True, eq=False)
class Block:
    """One allocation, of `kind` `device` or `pinned`; `memory` includes the guards."""

    kind: str
    address: int
    size: int
    memory: Bytes
    offset: int

    @property
    def data(self) -> Bytes:
        return self.memory[self.offset : self.offset + self.size]

    def guards_hold(self) -> bool:
        before, behind = self.memory[: self.offset], self.memory[self.offset + self.size :]
        return bool((before == GARBAGE).all() and (behind == GARBAGE).all())


class Range(NamedTuple):
    address: int
    size: int

    def overlaps(self, other: "Range") -> bool:
        return self.address < other.address + other.size and other.address < self.address + self.size


class Work(NamedTuple):
    """Something enqueued. `scratch` is used while it runs; `check` is asked at every launch."""

    run: Callable[[], None]
    scratch: Range | None = None
    check: Callable[[], None] = lambda: None


@dataclass(slots=True, eq=False)
class Stream:
    """Work that waits, and a capture if there is one."""

    priority: int
    pending: list[Work] = field(default_factory=list)
    captured: list[Work] | None = None
    capturer: int = 0
    everywhere: bool = False
    """Whether the capture forbids unsafe calls in every thread."""
    broken: bool = False


class Machine:
    """One host with one GPU of `capacity` bytes, compute capability 8.7."""

    def __init__(self, tensorrt: str) -> None:
        self.name = "Stand-in Orin"
        self.compute = (8, 7)
        self.capacity = 2**33
        self.tensorrt = tensorrt
        self.calls: list[Call] = []
        self.violations: list[str] = []
        self.fail: dict[str, str] = {}
        """Names of CUDA's functions that fail, and with what."""
        self.refuse: set[str] = set()
        """Methods of TensorRT that answer no."""
        self.blocks: dict[int, Block] = {}
        self.streams: dict[int, Stream] = {}
        self.graphs: dict[int, list[Work]] = {}
        self.modules: dict[int, Any] = {}
        self.objects: Counter[str] = Counter()
        """TensorRT's objects that live, by class."""
        self.caches: weakref.WeakSet[Any] = weakref.WeakSet()
        """TensorRT-RTX's caches of kernels that live."""
        self._freed: list[Block] = []
        self._logger: object = None
        self._next_handle = 1000
        self._entered = threading.local()
        self._lock = threading.Lock()

    @property
    def rtx(self) -> bool:
        """Whether its TensorRT is TensorRT-RTX, whose versions are still below 10."""
        return int(self.tensorrt.partition(".")[0]) < 10

    @property
    def software(self) -> str:
        """As the product names it."""
        return f"TensorRT{'-RTX' if self.rtx else ''} {self.tensorrt}"

    @property
    def module(self) -> str:
        """What Python imports."""
        return "tensorrt_rtx" if self.rtx else "tensorrt"

    def record(self, name: str, **details: Any) -> None:
        self.calls.append(Call(name, threading.get_ident(), details))

    def named(self, name: str) -> list[dict[str, Any]]:
        """Details of every call of a function, in order."""
        return [call.details for call in self.calls if call.name == name]

    def violate(self, text: str) -> Violation:
        """Remember a violation; the caller raises it."""
        self.violations.append(text)
        return Violation(text)

    def one_logger(self, logger: object) -> None:
        """TensorRT keeps the first one and says nothing to others."""
        self._logger = self._logger or logger
        if logger is not self._logger:
            raise self.violate("a second logger, which would be told nothing")

    def check_released(self) -> None:
        """Everything was given back, and nothing was written beside or behind what was allocated."""
        left = {
            "memory": [(block.kind, block.size) for block in self.blocks.values()],
            "streams": list(self.streams),
            "graphs": list(self.graphs),
            "modules": list(self.modules),
            "objects": +self.objects,
        }
        assert not any(left.values()), f"not released: {left}"
        for block in self._freed:
            assert block.guards_hold(), f"written beside {block.size} bytes"
            assert (block.data == GARBAGE).all(), f"written to {block.size} bytes after they were freed"
        assert not self.violations, self.violations

    def handle(self) -> int:
        with self._lock:
            self._next_handle += 1
            return self._next_handle

    def enter(self) -> None:
        """This thread has met the device."""
        self._entered.done = True

    def entered(self) -> bool:
        return getattr(self._entered, "done", False)

    def used(self) -> int:
        """Bytes of the device, pinned ones included: a Jetson has one memory."""
        return sum(block.size for block in list(self.blocks.values()))

    def allocate(self, kind: str, size: int) -> int | None:
        """An address, or `None` where memory is out."""
        if self.used() + size > self.capacity:
            return None
        memory = np.full(size + 3 * ALIGNMENT, GARBAGE, np.uint8)
        offset = ALIGNMENT - memory.ctypes.data % ALIGNMENT + ALIGNMENT
        address = memory.ctypes.data + offset
        self.blocks[address] = Block(kind, address, size, memory, offset)
        return address

    def release(self, kind: str, address: int) -> None:
        block = self.blocks.get(address)
        if block is None or block.kind != kind:
            raise self.violate(f"{address:#x} is freed, and is no {kind} memory")
        for stream in list(self.streams.values()):  # as CUDA does: what runs may still use it
            self.drain(stream)
        del self.blocks[address]
        block.data[:] = GARBAGE
        self._freed.append(block)

    def bytes_at(self, address: int, size: int, who: str, kind: str = "device") -> Bytes:
        """Memory of a kind that was allocated and not freed."""
        for block in list(self.blocks.values()):
            if (
                block.address <= address
                and address + size <= block.address + block.size
                and block.kind in (kind, MAPPED)
            ):
                start = address - block.address
                return block.data[start : start + size]
        raise self.violate(f"{who}: {size} bytes at {address:#x} are not in {kind} memory that is allocated")

    def array_at(self, address: int, shape: tuple[int, ...], dtype: np.dtype[Any], who: str) -> NDArray[Any]:
        size = int(np.prod(shape)) * dtype.itemsize
        return self.bytes_at(address, size, who).view(dtype).reshape(shape)

    def stream(self, handle: int) -> Stream:
        if int(handle) not in self.streams:
            raise self.violate(f"{handle} is no stream")
        return self.streams[int(handle)]

    def submit(self, handle: int, work: Work) -> None:
        """Enqueue work, or record it where the stream is captured."""
        stream = self.stream(handle)
        if stream.captured is not None:
            if stream.capturer != threading.get_ident():
                raise self.violate("two threads use a stream that is captured")
            stream.captured.append(work)
            return
        if work.scratch is not None:
            for other in list(self.streams.values()):
                if other is not stream and any(
                    waiting.scratch and waiting.scratch.overlaps(work.scratch) for waiting in other.pending
                ):
                    raise self.violate("two contexts that may run at the same time share their scratch memory")
        stream.pending.append(work)

    def drain(self, stream: Stream) -> None:
        """Run what waits."""
        while stream.pending:
            try:
                work = stream.pending.pop(0)
            except IndexError:  # another thread waits for the same stream
                return
            work.run()

    def breaks_capture(self, name: str) -> bool:
        """Whether a call that waits or allocates comes in a capture: it fails, and so does the capture."""
        broken = False
        for stream in list(self.streams.values()):
            own = stream.capturer == threading.get_ident() or stream.everywhere
            if stream.captured is not None and own:
                stream.broken = broken = True
                self.violations.append(f"{name} while a stream is captured")
        return broken


def host_bytes(address: int, size: int) -> Bytes:
    """Memory of the host that the machine did not hand out."""
    found: Bytes = np.frombuffer(memoryview((ctypes.c_char * size).from_address(address)), np.uint8)
    return found
