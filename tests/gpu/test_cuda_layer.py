"""Copies, streams, the append kernel, captured graphs and the KV cache on the device, beside numpy."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from edgevlm_engines.kv_cache import CpuCache
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgevlm_engines.cuda.runtime import DeviceMemory, SharedArray

ROW = "CUDA layer"

HALF = np.dtype(np.float16)
Array = NDArray[Any]


class Bench:
    """A stream, and memory that is freed at the end of a test."""

    def __init__(self, release: ExitStack) -> None:
        from edgevlm_engines.cuda.runtime import Stream, enter_thread

        enter_thread()
        self._release = release
        self.stream: Stream = Stream(urgent=True)
        release.callback(self.stream.free)

    def up(self, array: Array) -> "DeviceMemory":
        from edgevlm_engines.cuda.runtime import DeviceMemory

        memory = DeviceMemory(array.nbytes)
        self._release.callback(memory.free)
        memory.upload(array)
        return memory

    def shared(self, array: Array) -> "SharedArray":
        """Not yet sent."""
        from edgevlm_engines.cuda.runtime import SharedArray

        held = SharedArray(array.shape, array.dtype.type)
        self._release.callback(held.free)
        held.array[:] = array
        return held

    def down(self, address: int, like: Array) -> Array:
        """What is at an address of the device, when the stream is done."""
        from cuda.bindings import runtime
        from edgevlm_engines.cuda.runtime import call

        self.stream.synchronize()
        array = np.empty_like(like)
        kind = runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        call(runtime.cudaMemcpy, array.ctypes.data, address, array.nbytes, kind)
        return array


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as release:
        yield Bench(release)


def halves(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(HALF)


def test_what_goes_up_comes_down(bench: Bench) -> None:
    for size in (1, 255, 4097, 2**20 + 3):
        array = halves(size, seed=size)
        np.testing.assert_array_equal(bench.down(bench.up(array).address, array), array)


def test_memory_is_zeroed(bench: Bench) -> None:
    array = halves(9, 100)
    memory = bench.up(array)
    memory.zero(bench.stream)
    assert not bench.down(memory.address, array).any()


@pytest.mark.parametrize(("width", "count", "pitch"), [(6, 1, 6), (10, 7, 64), (256, 33, 300), (2, 500, 4)])
def test_lines_are_copied_between_pitches(bench: Bench, width: int, count: int, pitch: int) -> None:
    from edgevlm_engines.cuda.runtime import Lines, copy_lines

    source, target = halves(count, pitch, seed=1), halves(count, pitch + 8, seed=2)
    start, to = bench.up(source), bench.up(target)
    copy_lines(
        Lines(to.address, target.shape[1] * 2), Lines(start.address, pitch * 2), width * 2, count, bench.stream
    )
    target[:, :width] = source[:, :width]
    np.testing.assert_array_equal(bench.down(to.address, target), target)


def test_streams_do_not_wait_for_each_other_and_keep_their_own_order(bench: Bench) -> None:
    from edgevlm_engines.cuda.runtime import Lines, Stream, copy_lines

    other = Stream(urgent=False)
    array = halves(64, 1000)
    first, second, third = bench.up(array), bench.up(0 * array), bench.up(array)
    size = array.nbytes
    for start, to in ((first, second), (second, third)):
        copy_lines(Lines(to.address, size), Lines(start.address, size), size, 1, bench.stream)
    first_of_other = bench.up(array)
    first_of_other.zero(other)
    other.synchronize()
    other.free()
    np.testing.assert_array_equal(bench.down(third.address, array), array)
    assert not bench.down(first_of_other.address, array).any()


class Step:
    """New keys and values of some slots of a step, and a cache that they are appended to."""

    def __init__(self, bench: Bench, heads: int, sequence: int, dim: int, seed: int, capacity: int = 128) -> None:
        from edgevlm_engines.cuda.kv_append import Append

        buffers, self.slots, slots, self.first, self.sequence = 4, 3, 5, 1, sequence
        self.fresh = halves(buffers, self.slots, heads, sequence, dim, seed=seed)
        self.cache = halves(buffers, slots, heads, capacity, dim, seed=seed + 1)
        self.past = np.random.default_rng(seed).integers(0, capacity - sequence + 1, self.slots, np.int32)
        self.lengths = bench.shared(self.past)
        new, self.memories = [bench.up(one) for one in self.fresh], [bench.up(one) for one in self.cache]
        pairs = [(one.address, cache.address) for one, cache in zip(new, self.memories, strict=True)]
        self.append = Append(pairs, heads, capacity, dim * HALF.itemsize)
        self._bench = bench

    def launch(self) -> None:
        stream = self._bench.stream
        self.lengths.send(self.slots, stream)
        self.append.launch(self.first, self.slots, self.sequence, self.lengths.address, stream)

    def expect(self) -> None:
        """What numpy appends."""
        for slot, past in enumerate(self.past):
            self.cache[:, self.first + slot, :, past : past + self.sequence] = self.fresh[:, slot]

    def check(self) -> None:
        for memory, wanted in zip(self.memories, self.cache, strict=True):
            np.testing.assert_array_equal(self._bench.down(memory.address, wanted), wanted)


@pytest.mark.parametrize("shape", [(1, 1, 2), (16, 1, 128), (4, 64, 80), (2, 33, 6), (32, 128, 80)], ids=str)
def test_the_append_kernel_puts_each_slot_where_its_cache_ends(bench: Bench, shape: tuple[int, int, int]) -> None:
    step = Step(bench, *shape, seed=sum(shape))
    step.launch()
    step.expect()
    step.check()
    step.append.free()


def test_a_step_past_the_end_of_the_cache_writes_nothing(bench: Bench) -> None:
    step = Step(bench, heads=2, sequence=2, dim=8, seed=5)
    step.lengths.array[:] = (-1, 127, 128)
    step.launch()
    step.check()
    step.append.free()


def test_a_captured_step_reads_lengths_anew_each_time(bench: Bench) -> None:
    from edgevlm_engines.cuda.runtime import capture

    step = Step(bench, heads=4, sequence=1, dim=80, seed=9)
    graph = capture(bench.stream, step.launch)
    step.check()
    for _ in range(3):
        graph.launch(bench.stream)
        step.expect()
        step.check()
        step.past = (step.past + 1) % 128
        step.lengths.array[:] = step.past
    graph.free()
    step.append.free()


def test_shared_arrays_go_and_come_in_the_order_of_the_stream(bench: Bench) -> None:
    from edgevlm_engines.cuda.runtime import Lines, copy_lines

    sent, back = halves(5, 3000), halves(5, 3000, seed=1)
    start, to = bench.shared(sent), bench.shared(back)
    for count in (2, 5):
        start.send(count, bench.stream)
        copy_lines(Lines(to.address, 6000), Lines(start.address, 6000), 6000, 5, bench.stream)
        to.fetch(count, bench.stream)
        bench.stream.synchronize()
        back[:count] = sent[:count]
        np.testing.assert_array_equal(to.array, back)


def test_the_cache_on_the_device_does_what_the_one_on_the_host_does(bench: Bench) -> None:
    from edgevlm_engines.cuda.kv_cache import CudaCache

    count, shape = 3, (4, 2, 64, 6)
    device, host = CudaCache(count, shape, HALF), CpuCache(count, shape, HALF)

    def same() -> None:
        for buffer, array in enumerate(host._buffers):
            np.testing.assert_array_equal(bench.down(device.pointer(buffer, 0), array), array)

    same()
    for slot in range(shape[0]):
        # positions come in by the way that saved ones do
        saved = host.copy_out(slot, 0, shape[2])
        saved.data = halves(*saved.data.shape, seed=slot)
        host.copy_in(slot, saved, shape[2])
        saved.data = bench.up(saved.data).address
        device.copy_in(slot, saved, shape[2])
    same()
    for source, target, length in [(0, 2, 64), (1, 3, 17), (2, 0, 1), (3, 3, 9), (1, 0, 0)]:
        device.move_slot(source, target, length)
        host.move_slot(source, target, length)
        same()
    on_device, on_host = device.copy_out(1, 5, 35), host.copy_out(1, 5, 35)
    for length in (30, 11):
        device.copy_in(3, on_device, length)
        host.copy_in(3, on_host, length)
        same()
    on_device.free()
    device.free()
