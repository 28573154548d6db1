"""`cuda.bindings.driver`: loads what the stand-in of NVRTC compiled, and launches it."""

import ctypes
import tempfile
from enum import IntEnum
from pathlib import Path
from typing import Any

from tests.tensorrt.standin.cuda_nvrtc import Place
from tests.tensorrt.standin.machine import Machine, Work


class CUresult(IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_INVALID_CONTEXT = 201


OK = CUresult.CUDA_SUCCESS


class CUstream(int):
    """A stream's number."""


class CUlaunchAttributeID(IntEnum):
    CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION = 6


class CUlaunchAttributeValue:
    def __init__(self) -> None:
        self.programmaticStreamSerializationAllowed = 0


class CUlaunchAttribute:
    def __init__(self) -> None:
        self.id: CUlaunchAttributeID | None = None
        self.value = CUlaunchAttributeValue()


class CUlaunchConfig:
    def __init__(self) -> None:
        self.gridDimX = self.gridDimY = self.gridDimZ = 0
        self.blockDimX = self.blockDimY = self.blockDimZ = 0
        self.sharedMemBytes = self.numAttrs = 0
        self.hStream = CUstream(0)
        self.attrs: list[CUlaunchAttribute] = []


def names(machine: Machine) -> dict[str, object]:
    """Everything that the module holds. All of it wants a thread that has met the device."""

    def cuModuleLoadData(image: bytes) -> tuple[Any, ...]:
        if not machine.entered():
            return CUresult.CUDA_ERROR_INVALID_CONTEXT, None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "kernel.so"
            path.write_bytes(image)
            library = ctypes.CDLL(str(path))
        handle = machine.handle()
        machine.modules[handle] = library
        return OK, handle

    def cuModuleGetFunction(module: int, name: bytes) -> tuple[Any, ...]:
        library = machine.modules[module]
        if not hasattr(library, "launch"):
            return OK, library.run

        def run(grid: Place, block: Place, *arguments: Any) -> None:
            pointers = (ctypes.c_void_p * len(arguments))(*map(ctypes.addressof, arguments))
            code = library.launch(name, grid.x, grid.y, grid.z, block.x, pointers, 0)
            assert code == 0, (name, code)

        return OK, run

    def cuModuleUnload(module: int) -> tuple[Any, ...]:
        del machine.modules[module]
        return (OK,)

    def cuLaunchKernel(function: Any, *numbers: Any) -> tuple[Any, ...]:
        *sizes, shared, stream, (values, types), extra = numbers
        machine.record("cuLaunchKernel", grid=tuple(sizes[:3]), values=values)
        if not machine.entered():
            return (CUresult.CUDA_ERROR_INVALID_CONTEXT,)
        if min(sizes) < 1 or sizes[3] * sizes[4] * sizes[5] > 1024 or max(sizes[1:3]) > 65_535:
            return (CUresult.CUDA_ERROR_INVALID_VALUE,)
        assert (shared, extra) == (0, 0)

        def run() -> None:
            for value, kind in zip(values, types, strict=True):
                if kind is ctypes.c_void_p and value:
                    machine.bytes_at(value, 1, "a kernel")
            arguments = [kind(value) for value, kind in zip(values, types, strict=True)]
            function(Place(*sizes[:3]), Place(*sizes[3:]), *arguments)

        machine.submit(stream, Work(run))
        return (OK,)

    def cuLaunchKernelEx(config: CUlaunchConfig, function: Any, arguments: Any, extra: int) -> tuple[Any, ...]:
        assert config.numAttrs == len(config.attrs)
        grid, block = (config.gridDimX, config.gridDimY, config.gridDimZ), (config.blockDimX, 1, 1)
        machine.record("cuLaunchKernelEx", overlaps=bool(config.attrs))
        return cuLaunchKernel(function, *grid, *block, config.sharedMemBytes, config.hStream, arguments, extra)

    classes = (CUresult, CUstream, CUlaunchAttributeID, CUlaunchAttributeValue, CUlaunchAttribute, CUlaunchConfig)
    return {
        **{one.__name__: one for one in classes},
        **{name: value for name, value in locals().items() if name.startswith("cu")},
    }
