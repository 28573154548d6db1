"""The KV cache in the memory of a CUDA device: see `edgevlm_engines.kv_cache`. Knows no model.

Copies have a stream of their own, which is waited for before a call returns: they run after what was computed, if
whoever computes waits as well, and do not wait for pictures that another thread encodes. Not yet run on a Jetson.
"""

from math import prod
from typing import Any

import numpy as np

from edgevlm_engines.cuda.runtime import (
    DeviceMemory,
    Lines,
    Stream,
    copy_lines,
    enter_thread,
    fits_alone,
    free_memory,
)
from edgevlm_engines.errors import CudaError, EngineLoadError, NotNow
from edgevlm_engines.kv_cache import Copied, Shape
from edgevlm_engines.sizes import size_text


class CudaCache:
    """Buffers in device memory. A copy's memory is kept for the next one, if that has its size: to free it stops the
    device.
    """

    def __init__(self, count: int, shape: Shape, dtype: np.dtype[Any], beside: int = 0) -> None:
        """`beside` is what the same program needs of the device beside it, in bytes.

        Raises `EngineLoadError` where there is no room, `NotNow` where others take it.
        """
        self.shape = shape
        self._vector_bytes = shape[3] * dtype.itemsize
        self._slot_bytes = prod(shape[1:]) * dtype.itemsize
        self._buffers: list[DeviceMemory] = []
        self._spare: dict[int, list[DeviceMemory]] = {}
        self._open = True
        self._stream = Stream(urgent=True)
        try:
            for _ in range(count):
                self._buffers.append(DeviceMemory(shape[0] * self._slot_bytes))
                self._buffers[-1].zero(self._stream)
            self._stream.synchronize()
        except CudaError as error:
            self.free()
            if error.out_of_memory:
                kind = NotNow if fits_alone(beside + count * shape[0] * self._slot_bytes) else EngineLoadError
                raise kind(self._what_fits(count, free_memory())) from None
            raise

    def pointer(self, buffer: int, slot: int) -> int:
        return self._buffers[buffer].address + slot * self._slot_bytes

    def move_slot(self, source: int, target: int, length: int) -> None:
        if source == target:  # what a copy onto itself does, CUDA leaves open
            return
        for buffer in range(len(self._buffers)):
            self._copy(self._lines(buffer, target), self._lines(buffer, source), length * self._vector_bytes)
        self._stream.synchronize()

    def copy_out(self, slot: int, start: int, stop: int) -> Copied:
        width = (stop - start) * self._vector_bytes
        size = width * self.shape[1]
        memory = self._memory(size * len(self._buffers))
        for buffer in range(len(self._buffers)):
            self._copy(Lines(memory.address + buffer * size, width), self._lines(buffer, slot, start), width)
        self._stream.synchronize()
        return Copied(start, stop - start, memory.address, lambda: self._give_back(memory))

    def copy_in(self, slot: int, copied: Copied, length: int) -> None:
        pitch, width = copied.length * self._vector_bytes, length * self._vector_bytes
        for buffer in range(len(self._buffers)):
            source = Lines(copied.data + buffer * pitch * self.shape[1], pitch)
            self._copy(self._lines(buffer, slot, copied.start), source, width)
        self._stream.synchronize()

    def free(self) -> None:
        if not self._open:
            return
        self._open = False
        self._free_spares()
        while self._buffers:
            self._buffers.pop().free()
        self._stream.free()

    def _lines(self, buffer: int, slot: int, start: int = 0) -> Lines:
        """A slot's positions from `start` on, a stretch a head."""
        return Lines(self.pointer(buffer, slot) + start * self._vector_bytes, self.shape[2] * self._vector_bytes)

    def _copy(self, to: Lines, start: Lines, width: int) -> None:
        """`width` bytes of every head."""
        copy_lines(to, start, width, self.shape[1], self._stream)

    def _memory(self, size: int) -> DeviceMemory:
        """For a copy. Raises `MemoryError` where there is none."""
        if spares := self._spare.get(size):
            return spares.pop()
        # what is kept and what is in use are then no more than copies ever took together
        self._free_spares()
        try:
            return DeviceMemory(size)
        except CudaError as error:
            if error.out_of_memory:
                raise MemoryError("the device has no room for a copy of the cache") from None
            raise

    def _give_back(self, memory: DeviceMemory) -> None:
        if self._open:
            self._spare.setdefault(memory.size, []).append(memory)
        else:  # copies outlive the engine, and may be dropped in a thread that has not met the device
            enter_thread()
            memory.free()

    def _free_spares(self) -> None:
        spares = [memory for same_size in self._spare.values() for memory in same_size]
        self._spare.clear()
        for memory in spares:
            memory.free()

    def _what_fits(self, count: int, left: int) -> str:
        """What to ask for instead of a cache that finds no room."""
        slots, _, length, _ = self.shape
        slot = count * self._slot_bytes
        # smaller than now even where enough is left, but in pieces
        fewer = min(left // slot, slots - 1)
        shorter = min(left * length // (slots * slot), length - 1) // 64 * 64
        ways = [f"--max-batch {fewer}"] * (fewer > 0) + [f"--max-length {shorter}"] * (shorter > 0)
        advice = f"give {' or '.join(ways)} at most" if ways else "end other programs"
        needed = f"The KV cache of {slots} slots x {length} positions takes {size_text(slots * slot)}"
        return f"{needed}, and the device has {size_text(left)} left: {advice}."
