"""The layer on CUDA, the cache on the device and the append kernel, on the stand-in machine."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from edgevlm_engines.errors import CudaError, EngineLoadError
from edgevlm_engines.kv_cache import CpuCache
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.tensorrt.standin import Machine, installed

HALF = np.dtype(np.float16)


def random(shape: tuple[int, ...], seed: int) -> NDArray[np.float16]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float16)


def test_a_failing_call_is_named_with_its_code(machine: Machine) -> None:
    from edgevlm_engines.cuda.runtime import DeviceMemory

    machine.fail["cudaMalloc"] = "cudaErrorIllegalAddress"
    with pytest.raises(CudaError, match=r"^cudaMalloc failed: cudaErrorIllegalAddress\.$") as caught:
        DeviceMemory(16)
    assert not caught.value.out_of_memory
    machine.fail.clear()
    machine.capacity = 100
    with pytest.raises(CudaError) as caught:
        DeviceMemory(101)
    assert caught.value.out_of_memory
    # else the next caller of the runtime would be told of it
    assert len(machine.named("cudaGetLastError")) == 2


def test_where_there_is_no_driver_the_bindings_complaint_is_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cuda.bindings import runtime
    from edgevlm_engines.cuda.runtime import enter_thread

    def cudaSetDevice(device: int) -> None:
        raise RuntimeError("Failed to dlopen libcuda.so.1")

    monkeypatch.setattr(runtime, "cudaSetDevice", cudaSetDevice)
    with pytest.raises(CudaError, match=r"^cudaSetDevice failed: Failed to dlopen libcuda\.so\.1\.$"):
        enter_thread()


def test_what_fails_in_a_capture_is_raised_and_the_stream_is_usable_again(machine: Machine) -> None:
    from edgevlm_engines.cuda.runtime import DeviceMemory, Stream, capture

    stream = Stream(urgent=True)
    with pytest.raises(ZeroDivisionError):
        capture(stream, lambda: print(1 / 0))
    memory = DeviceMemory(64)
    graph = capture(stream, lambda: memory.zero(stream))
    assert machine.bytes_at(memory.address, 64, "test").all(), "captured, not run"
    for _ in range(2):
        machine.bytes_at(memory.address, 64, "test")[:] = 5
        graph.launch(stream)
        stream.synchronize()
        assert not machine.bytes_at(memory.address, 64, "test").any()
    for held in (graph, memory, stream):
        held.free()


@pytest.mark.parametrize("what", ["wait", "allocate"])
def test_a_capture_in_which_something_waits_or_allocates_fails(machine: Machine, what: str) -> None:
    from edgevlm_engines.cuda.runtime import DeviceMemory, Stream, capture

    stream, other = Stream(urgent=True), Stream(urgent=True)
    with pytest.raises(CudaError, match="cudaErrorStreamCaptureUnsupported"):
        capture(stream, stream.synchronize if what == "wait" else lambda: DeviceMemory(8).free())
    assert machine.violations.pop()
    other.synchronize()
    stream.free()
    other.free()


def test_while_one_thread_captures_others_may_wait_and_allocate(machine: Machine) -> None:
    from edgevlm_engines.cuda.runtime import DeviceMemory, Stream, capture

    stream, memory = Stream(urgent=True), DeviceMemory(64)
    with ThreadPoolExecutor(1) as pool:

        def work() -> None:
            memory.zero(stream)
            pool.submit(lambda: DeviceMemory(8).free()).result()

        graph = capture(stream, work)
    for held in (graph, memory, stream):
        held.free()


appends = st.fixed_dictionaries(
    {
        "buffers": st.integers(1, 6),
        "slots": st.integers(1, 5),
        "heads": st.integers(1, 4),
        "sequence": st.integers(1, 70),
        "half_dim": st.integers(1, 40),
        "more_slots": st.integers(0, 3),
        "seed": st.integers(0, 99),
    }
)


@pytest.mark.slow
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(appends)
def test_the_append_kernel_puts_each_slot_where_its_cache_ends(case: dict[str, int]) -> None:
    """The text that a GPU would compile, compiled for this processor."""
    buffers, slots, heads, sequence = (case[name] for name in ("buffers", "slots", "heads", "sequence"))
    dim, capacity, total = 2 * case["half_dim"], 128, slots + case["more_slots"]
    first = np.random.default_rng(case["seed"]).integers(0, case["more_slots"] + 1)
    past = np.random.default_rng(case["seed"]).integers(0, capacity - sequence + 1, slots)
    fresh = random((buffers, slots, heads, sequence, dim), case["seed"])
    cache = random((buffers, total, heads, capacity, dim), case["seed"] + 1)
    with installed() as machine:
        from edgevlm_engines.cuda.kv_append import Append
        from edgevlm_engines.cuda.runtime import DeviceMemory, SharedArray, Stream, enter_thread

        enter_thread()
        stream = Stream(urgent=True)
        lengths = SharedArray((slots,), np.int32)
        lengths.array[:] = past
        lengths.send(slots, stream)
        news, caches = ([DeviceMemory(one.nbytes) for one in array] for array in (fresh, cache))
        for array, memories in ((fresh, news), (cache, caches)):
            for one, memory in zip(array, memories, strict=True):
                memory.upload(one)
        pairs = [(new.address, old.address) for new, old in zip(news, caches, strict=True)]
        append = Append(pairs, heads, capacity, dim * HALF.itemsize)
        append.launch(int(first), slots, sequence, lengths.address, stream)
        stream.synchronize()
        for slot in range(slots):
            cache[:, first + slot, :, past[slot] : past[slot] + sequence] = fresh[:, slot]
        for memory, wanted in zip(caches, cache, strict=True):
            found = machine.array_at(memory.address, wanted.shape, HALF, "test")
            np.testing.assert_array_equal(found, wanted)
        append.free()
        for memory in (*news, *caches):
            memory.free()
        lengths.free()
        stream.free()
        machine.check_released()


def test_a_step_past_the_end_of_the_cache_writes_nothing(machine: Machine) -> None:
    from edgevlm_engines.cuda.kv_append import Append
    from edgevlm_engines.cuda.runtime import DeviceMemory, SharedArray, Stream, enter_thread

    enter_thread()
    stream, lengths, new, cache = (
        Stream(urgent=True),
        SharedArray((1,), np.int32),
        DeviceMemory(16),
        DeviceMemory(64 * 8),
    )
    cache.zero(stream)
    append = Append([(new.address, cache.address)], 1, 64, 8)
    for past in (-1, 63):
        lengths.array[:] = past
        lengths.send(1, stream)
        append.launch(0, 1, 2, lengths.address, stream)
    stream.synchronize()
    assert not machine.bytes_at(cache.address, cache.size, "test").any()
    for held in (append, cache, new, lengths, stream):
        held.free()


def test_a_kernel_that_does_not_compile_is_reported_with_the_compilers_words(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgevlm_engines.cuda import kv_append

    monkeypatch.setattr(kv_append, "SOURCE", kv_append.SOURCE.replace("const int past =", "const int pest ="))
    with pytest.raises(CudaError, match=r"NVRTC_ERROR_COMPILATION \(.*past.*undeclared.*\)") as caught:
        kv_append.Append([], 1, 64, 8)
    assert caught.value.call == "nvrtcCompileProgram"


def test_a_thread_that_has_not_met_the_device_may_not_launch(machine: Machine) -> None:
    from edgevlm_engines.cuda.kv_append import Append
    from edgevlm_engines.cuda.runtime import Stream, enter_thread

    append, stream = Append([(0, 0)], 1, 64, 8), Stream(urgent=True)
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(CudaError, match="CUDA_ERROR_INVALID_CONTEXT"):
            pool.submit(append.launch, 0, 1, 1, 0, stream).result()
        pool.submit(enter_thread).result()
        with pytest.raises(CudaError, match="CUDA_ERROR_INVALID_VALUE"):  # met, and then it is asked for no slots
            pool.submit(append.launch, 0, 0, 1, 0, stream).result()
    append.free()
    stream.free()


class Caches:
    """The same cache twice: on the stand-in's device and on the host, whose behaviour is tested elsewhere."""

    def __init__(self, machine: Machine, count: int = 3) -> None:
        from edgevlm_engines.cuda.kv_cache import CudaCache

        self.machine, self.count = machine, count
        shape = (4, 2, 64, 6)
        self.device, self.host = CudaCache(count, shape, HALF), CpuCache(count, shape, HALF)

    def view(self, buffer: int) -> NDArray[Any]:
        return self.machine.array_at(self.device.pointer(buffer, 0), self.device.shape, HALF, "test")

    def fill(self) -> None:
        for buffer, array in enumerate(self.host._buffers):
            array[:] = random(self.host.shape, buffer)
            self.view(buffer)[:] = array

    def same(self) -> None:
        for buffer, array in enumerate(self.host._buffers):
            np.testing.assert_array_equal(self.view(buffer), array)


def test_the_cache_begins_with_zeros(machine: Machine) -> None:
    caches = Caches(machine)
    caches.same()
    assert caches.device.pointer(1, 2) == caches.device.pointer(1, 0) + 2 * 2 * 64 * 6 * 2
    caches.device.free()
    caches.device.free()


def test_copies_on_the_device_do_what_copies_on_the_host_do(machine: Machine) -> None:
    caches = Caches(machine)
    caches.fill()
    for source, target, length in [(0, 2, 64), (1, 3, 17), (2, 0, 1), (3, 3, 9), (1, 0, 0)]:
        caches.device.move_slot(source, target, length)
        caches.host.move_slot(source, target, length)
        caches.same()
    on_device, on_host = caches.device.copy_out(1, 5, 35), caches.host.copy_out(1, 5, 35)
    assert (on_device.start, on_device.length) == (on_host.start, on_host.length) == (5, 30)
    for length in (30, 11):
        caches.device.copy_in(3, on_device, length)
        caches.host.copy_in(3, on_host, length)
        caches.same()
    on_device.free()
    on_device.free()
    caches.device.free()


def test_memory_of_a_copy_is_used_again_for_the_next_of_its_size(machine: Machine) -> None:
    caches = Caches(machine)
    first = caches.device.copy_out(0, 0, 8)
    first.free()
    before = len(machine.named("cudaMalloc"))
    second = caches.device.copy_out(1, 8, 16)
    assert len(machine.named("cudaMalloc")) == before
    assert not machine.named("cudaFree")
    # kept memory is given up where it is needed
    other = caches.device.copy_out(1, 0, 8)
    other.free()
    machine.capacity = machine.used()
    larger = caches.device.copy_out(2, 0, 3)
    with pytest.raises(MemoryError):
        caches.device.copy_out(2, 0, 64)
    caches.device.free()
    # copies outlive the cache
    for copied in (second, larger):
        copied.free()


def test_copies_of_many_sizes_take_no_more_than_were_in_use_together(machine: Machine) -> None:
    """As the prefix cache asks for them: one goes before the next comes, whatever their sizes."""
    caches = Caches(machine)
    alone = machine.used()
    for length in range(1, 65):
        caches.device.copy_out(0, 0, length).free()
    largest = 3 * 2 * 64 * 6 * 2
    assert machine.used() - alone <= largest
    caches.device.free()


def test_a_cache_without_room_says_what_would_fit(machine: Machine) -> None:
    from edgevlm_engines.cuda.kv_cache import CudaCache

    slot = 4 * 2 * 128 * 64 * 2
    for rows_left, advice in [
        (3.5, "give --max-batch 3 or --max-length 64 at most."),
        (1.2, "give --max-batch 1 at most."),
        (0.9, "end other programs."),
    ]:
        machine.capacity = int(rows_left * slot)
        with pytest.raises(EngineLoadError) as caught:
            CudaCache(4, (4, 2, 128, 64), HALF)
        assert str(caught.value).startswith(
            "The KV cache of 4 slots x 128 positions takes 512 KiB, and the device has "
        )
        assert str(caught.value).endswith(f" left: {advice}")
        assert not machine.blocks
