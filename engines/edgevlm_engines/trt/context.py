"""TensorRT's engine and its contexts, checked: every refusal is an error with the logger's words. Knows no models.

Works with TensorRT 10.3 to 11 and with TensorRT-RTX, whose names for all that is used here are the same.
"""

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgevlm_engines.cuda.runtime import DeviceMemory, Stream
from edgevlm_engines.errors import EngineLoadError, TensorRtError
from edgevlm_engines.trt.kernel_cache import KernelCache
from edgevlm_engines.trt.library import Library

if TYPE_CHECKING:
    import tensorrt

Shape = tuple[int, ...]
Tensors = dict[str, tuple[Shape, np.dtype[np.generic]]]
"""Shape and type of inputs and outputs by name, with -1 for what is open."""


class PlanEngine:
    """A plan as TensorRT runs it, an `ICudaEngine` in the device's memory. Contexts must be freed before it."""

    def __init__(self, path: Path, library: Library) -> None:
        """Reads a plan that has been verified. Raises `TensorRtError`."""
        self.path, self._library = path, library
        try:
            self._runtime: tensorrt.Runtime | None = library.tensorrt.Runtime(library.log.listener)
        except (TypeError, RuntimeError):  # what the bindings make of a null pointer
            raise _refusal(library, "to start") from None
        with path.open("rb") as file:
            # pages of the file and no copy of it: on a Jetson that would take the memory that the weights need
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._engine: tensorrt.ICudaEngine | None = self._runtime.deserialize_cuda_engine(content)
        if self._engine is None:
            self.free()
            raise _refusal(library, f"to load {path}")
        self.scratch_bytes: int = self._engine.device_memory_size_v2
        self._kernels = KernelCache(self._engine, path, library) if library.compiles_at_load else None

    def tensors(self) -> Tensors:
        """Its inputs and outputs."""
        assert self._engine is not None, "freed"
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        return {
            name: (
                tuple(self._engine.get_tensor_shape(name)),
                np.dtype(self._library.tensorrt.nptype(self._engine.get_tensor_dtype(name))),
            )
            for name in names
        }

    def context(self, profile: int, stream: Stream, scratch: DeviceMemory, *, few_shapes: bool) -> "Context":
        """A context that works in `scratch`: no two that share one may run at the same time.

        `few_shapes`: what it meets is worth kernels of its own, where they are compiled here.
        """
        assert self._engine is not None, "freed"
        context: tensorrt.IExecutionContext | None = self._new_context(few_shapes)
        if context is None:
            raise _refusal(self._library, "a context")
        if not context.set_optimization_profile_async(profile, stream.number):
            raise _refusal(self._library, f"profile {profile}")
        context.set_device_memory(scratch.address, scratch.size)
        return Context(context, stream, self._library)

    def keep_kernels(self) -> None:
        """Keep what was compiled since it was loaded, for the next start."""
        if self._kernels is not None:
            self._kernels.save()

    def free(self) -> None:
        self._kernels = None
        self._engine = None
        self._runtime = None

    def _new_context(self, few_shapes: bool) -> "tensorrt.IExecutionContext | None":
        assert self._engine is not None, "freed"
        if self._kernels is not None:
            config = self._kernels.exact if few_shapes else self._kernels.config
            return self._engine.create_execution_context(config)
        strategies = self._library.tensorrt.ExecutionContextAllocationStrategy
        return self._engine.create_execution_context(strategies.USER_MANAGED)


class Context:
    """One way to run an engine: shapes and addresses, kept until they are changed."""

    def __init__(self, context: "tensorrt.IExecutionContext", stream: Stream, library: Library) -> None:
        self._context: tensorrt.IExecutionContext | None = context
        self._stream, self._library = stream, library
        self._shapes: dict[str, Shape] = {}
        self._addresses: dict[str, int] = {}

    def bind(self, shapes: Mapping[str, Shape], addresses: Mapping[str, int]) -> None:
        """Shapes of inputs, and addresses of inputs and outputs. Only what is new reaches TensorRT."""
        assert self._context is not None, "freed"
        for name, shape in shapes.items():
            if self._shapes.get(name) != shape:
                if not self._context.set_input_shape(name, shape):
                    raise _refusal(self._library, f"shape {shape} of {name}")
                self._shapes[name] = shape
        for name, address in addresses.items():
            if self._addresses.get(name) != address:
                if not self._context.set_tensor_address(name, address):
                    raise _refusal(self._library, f"the address of {name}")
                self._addresses[name] = address

    def enqueue(self) -> None:
        """Put the work on the stream."""
        assert self._context is not None, "freed"
        if not self._context.execute_async_v3(self._stream.number):
            raise _refusal(self._library, "to run")

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


def _refusal(library: Library, what: str) -> TensorRtError:
    error = TensorRtError(f"{library.name} refused {what}: {library.log.complaint}.")
    library.log.clear()
    return error


def _agree(
    found: Shape, found_type: np.dtype[np.generic], expected: Shape, expected_type: np.dtype[np.generic]
) -> bool:
    """TensorRT may know less of a dimension than the graph says, or more."""
    known = len(found) == len(expected) and all(
        -1 in pair or pair[0] == pair[1] for pair in zip(found, expected, strict=True)
    )
    return known and found_type == expected_type
