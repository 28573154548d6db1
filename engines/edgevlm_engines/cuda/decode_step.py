"""One decode step on kernels of our own: compiled here, captured once for each number of rows. Knows no tokens.

For float16 and compute capability 8.0 and later.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from cuda.bindings import driver, runtime
from numpy.typing import NDArray

from edgevlm_engines.cuda.decode_launches import (
    Launch,
    Scratch,
    StepCache,
    StepEnds,
    StepLaunches,
    StepShape,
    StepWeights,
    supported,
)
from edgevlm_engines.cuda.owned import owned
from edgevlm_engines.cuda.runtime import (
    DEVICE,
    DeviceMemory,
    Graph,
    HostArray,
    Stream,
    call,
    capture,
    device,
)
from edgevlm_engines.engine import Floats
from edgevlm_engines.manifest import Decoder

LEAST_COMPUTE = (8, 0)
"""From here on tensor cores multiply 16 x 16 by 16 x 8."""

OVERLAP_COMPUTE = (9, 0)
"""From here on a kernel may start before the one before it ends."""


def runs_here(model: Decoder) -> bool:
    """Whether this device and the kernels suit a float16 model of this shape."""
    return supported(model) and device().compute >= LEAST_COMPUTE


def source() -> str:
    """All kernels as one text."""
    folder = Path(__file__).parent
    return "".join((folder / name).read_text("utf-8") for name in ("decode_primitives.cu", "decode_kernels.cu"))


def processors() -> int:
    """Multiprocessors of the device."""
    return int(call(runtime.cudaGetDeviceProperties, DEVICE).multiProcessorCount)


class Kernels:
    """Launches of kernels that were compiled."""

    def __init__(self, code: bytes, *, overlap: bool = True) -> None:
        """`overlap`: launches that allow it may start before their predecessor ends, if the device can do that."""
        self._overlap = overlap and device().compute >= OVERLAP_COMPUTE
        self._module = call(driver.cuModuleLoadData, code)
        self._functions: dict[str, Any] = {}

    def enqueue(self, launch: Launch, stream: Stream) -> None:
        if launch.kernel not in self._functions:
            function = call(driver.cuModuleGetFunction, self._module, launch.kernel.encode())
            self._functions[launch.kernel] = function
        config = driver.CUlaunchConfig()
        config.gridDimX, config.gridDimY, config.gridDimZ = launch.grid
        config.blockDimX, config.blockDimY, config.blockDimZ = launch.threads, 1, 1
        config.hStream = driver.CUstream(stream.number)
        if launch.overlaps and self._overlap:
            config.attrs = [_overlapping()]
            config.numAttrs = 1
        arguments = (launch.values, launch.types)
        call(driver.cuLaunchKernelEx, config, self._functions[launch.kernel], arguments, 0)

    def free(self) -> None:
        call(driver.cuModuleUnload, self._module)


class DecodeStep:
    """Steps over slots `0..n-1`, for any n up to `slots`. Kernels, weights and cache stay the caller's."""

    def __init__(
        self, shape: StepShape, kernels: Kernels, weights: StepWeights, cache: StepCache, slots: int
    ) -> None:
        """Raises `CudaError`."""
        model, scratch = shape.model, Scratch(shape)
        self._kernels = kernels
        with ExitStack() as release:
            self.stream = owned(release, Stream(urgent=True))
            memory = owned(release, DeviceMemory(scratch.size))
            memory.zero(self.stream)
            self.stream.synchronize()
            scratch.base = memory.address
            self._hidden = owned(release, HostArray((slots, model.hidden_size), np.float16))
            self._lengths = owned(release, HostArray((slots,), np.int32))
            self._logits = owned(release, HostArray((slots, model.vocab_size), np.float32))
            ends = StepEnds(self._hidden.address, self._lengths.address, self._logits.address)
            self.launches = StepLaunches(shape, weights, cache, ends, scratch)
            self._graphs: dict[int, Graph] = {}
            release.callback(self._free_graphs)
            self._release = release.pop_all()

    def run(self, hidden: NDArray[np.float16], lengths: NDArray[np.integer[Any]]) -> Floats:
        """One position of slots `0..n-1`, which hold `lengths` `[n]`: `[n, hidden_size]` -> `[n, vocab_size]`."""
        rows = len(hidden)
        self._hidden.array[:rows] = hidden
        self._lengths.array[:rows] = lengths
        self.graph(rows).launch(self.stream)
        self.stream.synchronize()
        logits: Floats = self._logits.array[:rows].copy()
        return logits

    def graph(self, rows: int) -> Graph:
        """The step over so many rows, captured when it is first asked for, after one that runs plainly.

        The plain one loads the kernels, which a capture may not do, and writes what the captured one writes again.
        """
        if rows not in self._graphs:
            self._enqueue(rows)
            self.stream.synchronize()
            self._graphs[rows] = capture(self.stream, lambda: self._enqueue(rows))
        return self._graphs[rows]

    def free(self) -> None:
        """Give everything back. Calling it again does nothing."""
        self._release.close()

    def _enqueue(self, rows: int) -> None:
        for launch in self.launches.over(rows):
            self._kernels.enqueue(launch, self.stream)

    def _free_graphs(self) -> None:
        while self._graphs:
            self._graphs.popitem()[1].free()


def _overlapping() -> Any:
    attribute = driver.CUlaunchAttribute()
    attribute.id = driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
    value = driver.CUlaunchAttributeValue()
    value.programmaticStreamSerializationAllowed = 1
    attribute.value = value
    return attribute
