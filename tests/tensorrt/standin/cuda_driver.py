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
        return OK, machine.modules[module].run

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
                if kind is ctypes.c_void_p:
                    machine.bytes_at(value, 1, "a kernel")
            arguments = [kind(value) for value, kind in zip(values, types, strict=True)]
            function(Place(*sizes[:3]), Place(*sizes[3:]), *arguments)

        machine.submit(stream, Work(run))
        return (OK,)

    return {"CUresult": CUresult, **{name: value for name, value in locals().items() if name.startswith("cu")}}
