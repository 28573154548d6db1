"""Execution contexts of the stand-in: what an engine runs with.

They take no liberties: each input and output must be bound to memory that is allocated and large enough, shapes must
lie within the profile, outputs may lie over inputs only where the cache is updated in place, and must there.
"""

import weakref
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from tests.tensorrt.standin.machine import ALIGNMENT, Machine, Range, Work
from tests.tensorrt.standin.plan_file import ProfileShapes
from tests.tensorrt.standin.tensorrt_types import Counted, ExecutionContextAllocationStrategy, ILogger, Severity

Shape = tuple[int, ...]


class Engine(Protocol):
    """What a context asks of its engine. Dimensions that are free have names."""

    machine: Machine
    logger: ILogger
    profiles: list[ProfileShapes]
    session: Any
    inputs: dict[str, tuple[int | str, ...]]
    outputs: dict[str, tuple[int | str, ...]]
    types: dict[str, np.dtype[Any]]

    def get_device_memory_size_for_profile(self, profile_index: int) -> int: ...


class IExecutionContext(Counted):
    def __init__(self, engine: Engine, strategy: ExecutionContextAllocationStrategy) -> None:
        super().__init__(engine.machine)
        self._engine = weakref.proxy(engine)
        self._strategy = strategy
        self._profile = 0
        self._shapes: dict[str, Shape] = {}
        self._addresses: dict[str, int] = {}
        self._scratch: Range | None = None
        self._changes = 0
        self._ran_since_change = False
        self._captured = False

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        self.machine.record("set_optimization_profile_async", profile=profile_index)
        self.machine.stream(stream_handle)
        if self.machine.breaks_capture("set_optimization_profile_async"):
            return self._no("a profile cannot be changed while a stream is captured")
        if not 0 <= profile_index < len(self._engine.profiles):
            return self._no(f"there is no profile {profile_index}")
        if profile_index != self._profile:
            self._changed()
            self._shapes.clear()
        self._profile = profile_index
        return True

    def set_device_memory(self, memory: int, size: int) -> None:
        if memory % ALIGNMENT:
            raise self.machine.violate("scratch memory that is not aligned to 256 bytes")
        self._changed()
        self._scratch = Range(memory, size)

    def set_input_shape(self, name: str, shape: Shape) -> bool:
        self.machine.record("set_input_shape", tensor=name, shape=shape)
        if "set_input_shape" in self.machine.refuse or name not in self._engine.inputs:
            return self._no(f"no shape for {name}")
        least, _, most = self._engine.profiles[self._profile][name]
        within = len(shape) == len(least) and all(
            low <= size <= high for low, size, high in zip(least, shape, most, strict=True)
        )
        if not within:
            return self._no(f"{name}: {shape} does not lie between {least} and {most} of profile {self._profile}")
        if self._shapes.get(name) != shape:
            self._changed()
        self._shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if memory == 0 or memory % ALIGNMENT:
            raise self.machine.violate(f"the address of {name} is not aligned to 256 bytes")
        if name not in self._engine.inputs and name not in self._engine.outputs:
            return self._no(f"there is no {name}")
        if self._addresses.get(name) != memory:
            self._changed()
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        captured = self.machine.stream(stream_handle).captured is not None
        details = {"profile": self._profile, "shapes": dict(self._shapes), "captured": captured}
        self.machine.record("execute_async_v3", context=id(self), **details)
        if not self.machine.entered():
            raise self.machine.violate("TensorRT runs in a thread that has no device of its own yet")
        if "execute_async_v3" in self.machine.refuse:
            return self._no("an error of the runtime")
        missing = [name for name in self._engine.inputs if name not in self._shapes]
        if missing:
            return self._no(f"shapes of {missing} are not set")
        unbound = [name for name in (*self._engine.inputs, *self._engine.outputs) if name not in self._addresses]
        if unbound:
            raise self.machine.violate(f"{unbound} have no address")
        if captured and not self._ran_since_change:
            raise self.machine.violate("a context is captured that did not run once with its shapes before")
        self._ran_since_change = True
        scratch = self._checked_scratch()
        run = _Run(self.machine, self._engine, dict(self._shapes), dict(self._addresses))
        changes = self._changes
        self._captured |= captured

        def check() -> None:
            if self._changes != changes:
                raise self.machine.violate("a graph is launched whose context has been changed")

        def work() -> None:
            self.machine.bytes_at(scratch.address, scratch.size, "scratch memory")
            run()

        self.machine.submit(stream_handle, Work(work, scratch, check))
        return True

    def _checked_scratch(self) -> Range:
        needed = self._engine.get_device_memory_size_for_profile(self._profile)
        if self._strategy is not ExecutionContextAllocationStrategy.USER_MANAGED:
            raise self.machine.violate("a context that allocates its own scratch memory")
        if self._scratch is None or self._scratch.size < needed:
            raise self.machine.violate(f"{needed} bytes of scratch memory are needed, there are {self._scratch}")
        self.machine.bytes_at(self._scratch.address, needed, "scratch memory")
        return self._scratch

    def _changed(self) -> None:
        self._changes += 1
        self._ran_since_change = False
        if self._captured:
            raise self.machine.violate("a context is changed that a graph was captured from")

    def _no(self, why: str) -> bool:
        self._engine.logger.log(Severity.ERROR, f"IExecutionContext: {why}.")
        return False


class _Run:
    """One execution, with the shapes and addresses of the moment when it was enqueued."""

    def __init__(self, machine: Machine, engine: Engine, shapes: dict[str, Shape], addresses: dict[str, int]) -> None:
        self._machine, self._session = machine, engine.session
        self._addresses = addresses
        self._types = engine.types
        sizes: dict[str, int] = {}
        for name, dimensions in engine.inputs.items():
            for dimension, size in zip(dimensions, shapes[name], strict=True):
                expected = dimension if isinstance(dimension, int) else sizes.setdefault(dimension, size)
                if size != expected:
                    raise machine.violate(f"{name}: {dimension} is {size}, elsewhere {expected}")
        self._inputs = shapes
        self._outputs = {
            name: tuple(dimension if isinstance(dimension, int) else sizes[dimension] for dimension in dimensions)
            for name, dimensions in engine.outputs.items()
        }
        for name, shape in (*self._inputs.items(), *self._outputs.items()):
            machine.array_at(addresses[name], shape, self._types[name], name)
        self._check_overlaps()

    def __call__(self) -> None:
        feeds = {
            name: self._machine.array_at(self._addresses[name], shape, self._types[name], name).copy()
            for name, shape in self._inputs.items()
        }
        results: Sequence[Any] = self._session.run(list(self._outputs), feeds)
        for (name, shape), result in zip(self._outputs.items(), results, strict=True):
            if result.shape != shape:
                raise self._machine.violate(f"{name} is {result.shape}, and its buffer {shape}")
            self._machine.array_at(self._addresses[name], shape, self._types[name], name)[:] = result

    def _check_overlaps(self) -> None:
        for name in self._outputs:
            past = name.replace("present_", "past_")
            if past != name and self._addresses[name] != self._addresses[past]:
                raise self._machine.violate(f"{name} is not updated in place: it must lie where {past} does")
            for other in (*self._inputs, *self._outputs):
                if other not in (name, past) and self._range(name).overlaps(self._range(other)):
                    raise self._machine.violate(f"{name} lies over {other}")

    def _range(self, name: str) -> Range:
        shape = (self._inputs.get(name) or self._outputs.get(name)) or ()
        return Range(self._addresses[name], int(np.prod(shape)) * self._types[name].itemsize)
