"""The building half of `tensorrt`: a graph and its profiles become a stand-in's plan. It optimises nothing.

It is strict where TensorRT's documentation is: one logger for the process, weights that live as long as their parser,
a range for every free dimension, times of kernels for one device alone.
"""

import weakref
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any

import onnx
from onnx.external_data_helper import load_external_data_for_model

from tests.tensorrt.standin.machine import Machine
from tests.tensorrt.standin.plan_file import ProfileShapes, pack_plan

Shape = tuple[int, ...]


class BuilderFlag(IntEnum):
    TF32 = 7


class MemoryPoolType(IntEnum):
    WORKSPACE = 0
    TACTIC_DRAM = 4


class NetworkDefinitionCreationFlag(IntEnum):
    STRONGLY_TYPED = 1


class IProgressMonitor:
    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        raise NotImplementedError

    def step_complete(self, phase_name: str, step: int) -> bool:
        raise NotImplementedError

    def phase_finish(self, phase_name: str) -> None:
        raise NotImplementedError


def names(machine: Machine, error: IntEnum) -> dict[str, object]:
    """Everything that the module holds of this half; `error` is the severity of an error in its logger."""

    class BoundBuilder(Builder):
        def __init__(self, logger: Any) -> None:
            super().__init__(machine, logger, error)

    return {
        "Builder": BoundBuilder,
        "BuilderFlag": BuilderFlag,
        "IBuilderConfig": IBuilderConfig,
        "IHostMemory": memoryview,
        "INetworkDefinition": INetworkDefinition,
        "IProgressMonitor": IProgressMonitor,
        "ITimingCache": ITimingCache,
        "MemoryPoolType": MemoryPoolType,
        "NetworkDefinitionCreationFlag": NetworkDefinitionCreationFlag,
        "OnnxParser": OnnxParser,
        "ParserError": ParserError,
    }


class Builder:
    def __init__(self, machine: Machine, logger: Any, error: IntEnum) -> None:
        machine.record("Builder")
        if "Builder" in machine.refuse:
            logger.log(error, "CUDA initialization failure with error: 35.")
            raise TypeError("factory function returned nullptr")
        self.machine = machine
        self.say: Callable[[str], None] = lambda text: logger.log(error, text)
        machine.one_logger(logger)

    def create_network(self, flags: int = 0) -> "INetworkDefinition":
        if flags != 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED:
            raise self.machine.violate("a network that is not strongly typed computes in types of TensorRT's choice")
        return INetworkDefinition(self)

    def create_builder_config(self) -> "IBuilderConfig":
        return IBuilderConfig(self)

    def create_optimization_profile(self) -> "IOptimizationProfile":
        return IOptimizationProfile(self)

    def build_serialized_network(
        self, network: "INetworkDefinition", config: "IBuilderConfig"
    ) -> "memoryview[int] | None":
        machine = self.machine
        machine.record("build_serialized_network", pools=dict(config.pools), level=config.builder_optimization_level)
        if network.parser is None or network.parser() is None:
            raise machine.violate("the parser is gone, and the weights with it")
        if "build_serialized_network" in machine.refuse:
            self.say("[myelin] Error Code 10: Internal Error (Could not find any implementation for node {Foreign}.)")
            self.say("an error that follows from the first")
            return None
        for profile in config.profiles:
            network.check(profile.shapes)
        if not _tell_steps(config.progress_monitor):
            return None
        config.timed.append(f"kernels of {machine.name}")
        return memoryview(pack_plan(network.whole_graph(), [profile.shapes for profile in config.profiles]))


def _tell_steps(monitor: IProgressMonitor | None) -> bool:
    """Two phases, one inside the other; false if the monitor ends the build."""
    if monitor is None:
        return True
    monitor.phase_start("Building engine", None, 2)
    going = monitor.step_complete("Building engine", 0)
    monitor.phase_start("Timing tactics", "Building engine", 4)
    for step in range(4):
        going = going and monitor.step_complete("Timing tactics", step)
    monitor.phase_finish("Timing tactics")
    going = going and monitor.step_complete("Building engine", 1)
    monitor.phase_finish("Building engine")
    return going


class INetworkDefinition:
    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.model = onnx.ModelProto()
        self.folder = Path()
        self.parser: weakref.ref[OnnxParser] | None = None

    @property
    def num_inputs(self) -> int:
        return len(self._inputs())

    def get_input(self, index: int) -> "ITensor":
        return ITensor(self._inputs()[index])

    def check(self, shapes: ProfileShapes) -> None:
        """A profile must cover this network."""
        for tensor in map(ITensor, self._inputs()):
            if -1 in tensor.shape and tensor.name not in shapes:
                raise self.builder.machine.violate(f"{tensor.name} has free dimensions and no range")
            for shape in shapes.get(tensor.name, ()):
                if not all(known in (-1, size) for known, size in zip(tensor.shape, shape, strict=True)):
                    raise self.builder.machine.violate(f"{tensor.name} is {tensor.shape}, its range has {shape}")

    def whole_graph(self) -> bytes:
        """With its weights, read now."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        load_external_data_for_model(model, str(self.folder))
        whole: bytes = model.SerializeToString()
        return whole

    def _inputs(self) -> list[onnx.ValueInfoProto]:
        weights = {tensor.name for tensor in self.model.graph.initializer}
        return [value for value in self.model.graph.input if value.name not in weights]


class ITensor:
    def __init__(self, value: onnx.ValueInfoProto) -> None:
        self.name = value.name
        dimensions = value.type.tensor_type.shape.dim
        self.shape = tuple(-1 if dimension.dim_param else dimension.dim_value for dimension in dimensions)


class ParserError:
    """What one node is refused for."""

    def __init__(self, node: onnx.NodeProto) -> None:
        self._node = node

    def node_name(self) -> str:
        return self._node.name

    def node_operator(self) -> str:
        return self._node.op_type

    def desc(self) -> str:
        return "Assertion failed:\n the stand-in was told to refuse it."


class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: Any) -> None:
        self._network = network
        self._errors: list[ParserError] = []
        network.builder.machine.one_logger(logger)

    def parse(self, model: bytes, path: str | None = None) -> bool:
        network = self._network
        network.model.ParseFromString(bytes(model))
        network.folder = Path(path or "").parent
        network.parser = weakref.ref(self)
        if "parse" in network.builder.machine.refuse:
            self._errors.append(ParserError(network.model.graph.node[0]))
        return not self._errors

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]


class IOptimizationProfile:
    def __init__(self, builder: Builder) -> None:
        self._machine = builder.machine
        self.shapes: ProfileShapes = {}

    def set_shape(self, input: str, min: Shape, opt: Shape, max: Shape) -> None:
        ordered = all(low <= usual <= high for low, usual, high in zip(min, opt, max, strict=True))
        if not ordered:
            raise self._machine.violate(f"{input}: {min}, {opt}, {max} are no range")
        self.shapes[input] = (min, opt, max)


class ITimingCache:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> "memoryview[int]":
        return memoryview(self.content)


class IBuilderConfig:
    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self.builder_optimization_level = 3
        self.progress_monitor: IProgressMonitor | None = None
        self.profiles: list[IOptimizationProfile] = []
        self.pools: dict[MemoryPoolType, int] = {}
        self.timed: list[str] = []
        self._cached = b""

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        if pool is MemoryPoolType.TACTIC_DRAM and bin(pool_size).count("1") != 1:
            raise self._builder.machine.violate(f"a limit of {pool_size}, which is no power of two, is not taken")
        self.pools[pool] = pool_size

    def clear_flag(self, flag: BuilderFlag) -> None:
        self._builder.machine.record("clear_flag", flag=flag.name)

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        return ITimingCache(bytes(serialized_timing_cache))

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        machine = self._builder.machine
        fits = not cache.content or machine.name.encode() in cache.content
        machine.record("set_timing_cache", size=len(cache.content), fits=fits)
        if not fits and not ignore_mismatch:
            self._builder.say("The timing cache was made on another device.")
            return False
        self._cached = cache.content
        return True

    def get_timing_cache(self) -> ITimingCache:
        return ITimingCache(self._cached + "".join(self.timed).encode())
