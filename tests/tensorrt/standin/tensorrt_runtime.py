"""The running half of `tensorrt`: deserialises a stand-in's plan, whose graph ONNX Runtime is to run."""

import weakref
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto

from tests.tensorrt.standin import jit
from tests.tensorrt.standin.machine import Machine
from tests.tensorrt.standin.plan_file import ProfileShapes, unpack_plan
from tests.tensorrt.standin.tensorrt_context import IExecutionContext, Shape
from tests.tensorrt.standin.tensorrt_types import (
    Counted,
    DataType,
    ExecutionContextAllocationStrategy,
    ILogger,
    Severity,
    TensorIOMode,
)

SCRATCH = 4096
"""Bytes that a context of profile 0 works in; of each further profile twice as many as of the one before."""

TYPES = {
    TensorProto.FLOAT: (DataType.FLOAT, np.float32),
    TensorProto.FLOAT16: (DataType.HALF, np.float16),
    TensorProto.INT32: (DataType.INT32, np.int32),
    TensorProto.INT64: (DataType.INT64, np.int64),
    TensorProto.BOOL: (DataType.BOOL, np.bool_),
}


def nptype(kind: DataType) -> type[np.generic]:
    return next(numpy for trt, numpy in TYPES.values() if trt is kind)


def names(machine: Machine) -> dict[str, object]:
    """Everything that the module holds of this half."""

    class BoundRuntime(Runtime):
        def __init__(self, logger: ILogger) -> None:
            machine.one_logger(logger)
            super().__init__(logger, machine)

    BoundRuntime.__name__ = Runtime.__name__
    return {
        "__version__": machine.tensorrt,
        "DataType": DataType,
        "ExecutionContextAllocationStrategy": ExecutionContextAllocationStrategy,
        **(jit.names() if machine.rtx else {}),
        "ICudaEngine": ICudaEngine,
        "IExecutionContext": IExecutionContext,
        "ILogger": ILogger,
        "Runtime": BoundRuntime,
        "TensorIOMode": TensorIOMode,
        "nptype": nptype,
    }


class Runtime(Counted):
    def __init__(self, logger: ILogger, machine: Machine) -> None:
        super().__init__(machine)
        self.logger = logger

    def deserialize_cuda_engine(self, serialized_engine: Any) -> "ICudaEngine | None":
        self.machine.record("deserialize_cuda_engine")
        plan = unpack_plan(bytes(memoryview(serialized_engine)))
        if plan is None or "deserialize_cuda_engine" in self.machine.refuse:
            self.logger.log(Severity.ERROR, "Serialization assertion magicTagRead == kMAGIC_TAG failed.")
            return None
        return ICudaEngine(self, plan.graph, plan.profiles)


class ICudaEngine(Counted):
    def __init__(self, runtime: Runtime, graph: bytes, profiles: list[ProfileShapes]) -> None:
        super().__init__(runtime.machine)
        self._runtime = weakref.ref(runtime)
        self.logger = runtime.logger
        self.profiles = profiles
        self.session = onnxruntime.InferenceSession(graph, _options(), providers=["CPUExecutionProvider"])
        model = onnx.load_from_string(graph).graph
        weights = {tensor.name for tensor in model.initializer}
        self.inputs = {value.name: _dimensions(value) for value in model.input if value.name not in weights}
        self.outputs = {value.name: _dimensions(value) for value in model.output}
        kinds = {value.name: value.type.tensor_type.elem_type for value in (*model.input, *model.output)}
        self.types = {name: np.dtype(TYPES[kind][1]) for name, kind in kinds.items()}
        self._contexts: weakref.WeakSet[IExecutionContext] = weakref.WeakSet()

    def __del__(self) -> None:
        if len(self._contexts):
            self.machine.violate("an engine is destroyed before its contexts")
        if self._runtime() is None:
            self.machine.violate("a runtime is destroyed before its engine")
        super().__del__()

    @property
    def num_io_tensors(self) -> int:
        return len(self.inputs) + len(self.outputs)

    @property
    def num_optimization_profiles(self) -> int:
        return len(self.profiles)

    @property
    def device_memory_size_v2(self) -> int:
        return max(map(self.get_device_memory_size_for_profile, range(len(self.profiles))))

    def get_device_memory_size_for_profile(self, profile_index: int) -> int:
        return SCRATCH << profile_index

    def get_tensor_name(self, index: int) -> str:
        names: list[str] = [*self.inputs, *self.outputs]
        return names[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return next(trt for trt, numpy in TYPES.values() if numpy == self.types[name])

    def get_tensor_shape(self, name: str) -> Shape:
        dimensions = self.inputs.get(name) or self.outputs[name]
        return tuple(-1 if isinstance(dimension, str) else dimension for dimension in dimensions)

    def create_runtime_config(self) -> jit.IRuntimeConfig:
        if not self.machine.rtx:
            raise AttributeError("create_runtime_config")
        return jit.IRuntimeConfig(self.machine)

    def create_execution_context(
        self, how: ExecutionContextAllocationStrategy | jit.IRuntimeConfig = ExecutionContextAllocationStrategy.STATIC
    ) -> "IExecutionContext | None":
        self.machine.record("create_execution_context")
        if "create_execution_context" in self.machine.refuse:
            self.logger.log(Severity.ERROR, "Requested amount of GPU memory could not be allocated.")
            return None
        if isinstance(how, jit.IRuntimeConfig):
            how.compile(f"kernels of {sorted(self.outputs)[0]}")
            context = IExecutionContext(self, how.strategy)
        elif self.machine.rtx:
            raise self.machine.violate("a context of TensorRT-RTX that keeps no kernels and may change them")
        else:
            context = IExecutionContext(self, how)
        self._contexts.add(context)
        return context


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _dimensions(value: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    return tuple(dimension.dim_param or dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
