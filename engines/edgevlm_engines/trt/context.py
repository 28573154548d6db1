"""TensorRT's engine and its contexts, checked: every refusal is an error with the logger's words. Knows no models.

Works with TensorRT 10.3 to 11, whose names for all that is used here are the same. Not yet run on a GPU.
"""

import mmap
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorrt as trt

from edgevlm_engines.cuda.runtime import DeviceMemory, Stream
from edgevlm_engines.errors import EngineLoadError, TensorRtError
from edgevlm_engines.trt.log import LOG

Shape = tuple[int, ...]
Tensors = dict[str, tuple[Shape, np.dtype[np.generic]]]
"""Shape and type of inputs and outputs by name, with -1 for what is open."""


class PlanEngine:
    """A plan as TensorRT runs it, an `ICudaEngine` in the device's memory. Contexts must be freed before it."""

    def __init__(self, path: Path) -> None:
        """Reads a plan that has been verified. Raises `TensorRtError`."""
        self.path = path
        try:
            self._runtime: trt.Runtime | None = trt.Runtime(LOG)
        except (TypeError, RuntimeError):  # what the bindings make of a null pointer
            raise _refusal("to start") from None
        with path.open("rb") as file:
            # pages of the file and no copy of it: on a Jetson that would take the memory that the weights need
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._engine: trt.ICudaEngine | None = self._runtime.deserialize_cuda_engine(content)
        if self._engine is None:
            self.free()
            raise _refusal(f"to load {path}")
        self.scratch_bytes: int = self._engine.device_memory_size_v2

    def tensors(self) -> Tensors:
        """Its inputs and outputs."""
        assert self._engine is not None, "freed"
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        return {
            name: (
                tuple(self._engine.get_tensor_shape(name)),
                np.dtype(trt.nptype(self._engine.get_tensor_dtype(name))),
            )
            for name in names
        }

    def context(self, profile: int, stream: Stream, scratch: DeviceMemory) -> "Context":
        """A context that works in `scratch`: no two that share one may run at the same time."""
        assert self._engine is not None, "freed"
        context = self._engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        if context is None:
            raise _refusal("a context")
        if not context.set_optimization_profile_async(profile, stream.number):
            raise _refusal(f"profile {profile}")
        context.set_device_memory(scratch.address, scratch.size)
        return Context(context, stream)

    def free(self) -> None:
        self._engine = None
        self._runtime = None


class Context:
    """One way to run an engine: shapes and addresses, kept until they are changed."""

    def __init__(self, context: trt.IExecutionContext, stream: Stream) -> None:
        self._context: trt.IExecutionContext | None = context
        self._stream = stream
        self._shapes: dict[str, Shape] = {}
        self._addresses: dict[str, int] = {}

    def bind(self, shapes: Mapping[str, Shape], addresses: Mapping[str, int]) -> None:
        """Shapes of inputs, and addresses of inputs and outputs. Only what is new reaches TensorRT."""
        assert self._context is not None, "freed"
        for name, shape in shapes.items():
            if self._shapes.get(name) != shape:
                if not self._context.set_input_shape(name, shape):
                    raise _refusal(f"shape {shape} of {name}")
                self._shapes[name] = shape
        for name, address in addresses.items():
            if self._addresses.get(name) != address:
                if not self._context.set_tensor_address(name, address):
                    raise _refusal(f"the address of {name}")
                self._addresses[name] = address

    def enqueue(self) -> None:
        """Put the work on the stream."""
        assert self._context is not None, "freed"
        if not self._context.execute_async_v3(self._stream.number):
            raise _refusal("to run")

    def free(self) -> None:
        self._context = None


def check_tensors(engine: PlanEngine, expected: Tensors) -> None:
    """Raise `EngineLoadError` unless an engine has just the inputs and outputs that it will be run with."""
    found = engine.tensors()
    for name in sorted(found.keys() | expected.keys()):
        if not (name in found and name in expected and _agree(*found[name], *expected[name])):
            raise EngineLoadError(
                f"{engine.path} does not fit the bundle: {name} is {found.get(name, 'not there')}, and "
                f"{expected.get(name, 'nothing')} is expected; run 'edgevlm build' again."
            )


def _refusal(what: str) -> TensorRtError:
    error = TensorRtError(f"TensorRT refused {what}: {LOG.complaint}.")
    LOG.clear()
    return error


def _agree(
    found: Shape, found_type: np.dtype[np.generic], expected: Shape, expected_type: np.dtype[np.generic]
) -> bool:
    """TensorRT may know less of a dimension than the graph says, or more."""
    known = len(found) == len(expected) and all(
        -1 in pair or pair[0] == pair[1] for pair in zip(found, expected, strict=True)
    )
    return known and found_type == expected_type
