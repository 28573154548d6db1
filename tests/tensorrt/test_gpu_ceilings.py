"""The kernel that reads memory, compiled for the host by the stand-in: it reads every byte, and gives all back."""

import ctypes
import sys

import numpy as np
import pytest
from edgevlm_engines.errors import CudaError

from benchmarks import ceilings, gpu
from tests.tensorrt.standin import Machine


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "BLOCKS", 2)
    monkeypatch.setattr(gpu, "READ_BYTES", 1 << 20)


def test_the_kernel_sums_every_word(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgevlm_engines.cuda.runtime import DeviceMemory, Stream

    values = np.random.default_rng(0).integers(0, 1 << 62, (1 << 20) // 8, dtype=np.uint64)
    monkeypatch.setattr(DeviceMemory, "zero", lambda memory, stream: memory.upload(values))
    sums: list[int] = []

    def synchronize(stream: Stream) -> None:
        wait(stream)
        address = machine.named("cuLaunchKernel")[-1]["values"][1]
        parts = np.frombuffer(ctypes.string_at(address, 8 * gpu.BLOCKS * gpu.THREADS), np.uint64)
        sums.append(int(parts.sum(dtype=np.uint64)))

    wait = Stream.synchronize
    monkeypatch.setattr(Stream, "synchronize", synchronize)
    assert gpu.read_bandwidth() > 0
    assert set(sums) == {int(values.sum(dtype=np.uint64))}


def test_where_little_memory_is_free_less_is_read(machine: Machine) -> None:
    machine.capacity = 1 << 19
    assert gpu.read_bandwidth() > 0


@pytest.mark.slow
def test_without_onnx_runtime_memory_is_measured_all_the_same(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    limits = ceilings.gpu_ceilings()
    assert limits.bandwidth and limits.multiplications is None


@pytest.mark.slow
def test_what_cannot_be_measured_is_said_and_not_known(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.fail["cudaMalloc"] = "cudaErrorMemoryAllocation"
    limits = ceilings.gpu_ceilings()
    assert (limits.bandwidth, limits.multiplications) == (None, None)
    assert "is not measured: cudaMalloc failed: cudaErrorMemoryAllocation." in capsys.readouterr().err
    with pytest.raises(CudaError):
        gpu.read_bandwidth()
