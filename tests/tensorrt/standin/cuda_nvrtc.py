"""`cuda.bindings.nvrtc`: compiles a kernel with the host's C compiler, between a head and a tail that make it one.

The kernel is the product's own text; only `extern "C"` is taken away, since C has no such thing. The decode kernels
are C++ and have a head and a tail of their own.
"""

import ctypes
import re
import subprocess
import tempfile
from enum import IntEnum
from pathlib import Path
from typing import Any

from tests.engines.kernels import host
from tests.tensorrt.standin.machine import Machine

HEAD = """
#define __global__
typedef struct { unsigned int x, y, z; } place;
static place blockIdx, threadIdx, blockDim, gridDim;
"""
TAIL = """
void run(place grid, place block, %(parameters)s)
{
    gridDim = grid;
    blockDim = block;
    for (blockIdx.z = 0; blockIdx.z < grid.z; blockIdx.z++)
    for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++)
    for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++)
    for (threadIdx.z = 0; threadIdx.z < block.z; threadIdx.z++)
    for (threadIdx.y = 0; threadIdx.y < block.y; threadIdx.y++)
    for (threadIdx.x = 0; threadIdx.x < block.x; threadIdx.x++)
        %(name)s(%(arguments)s);
}
"""


class nvrtcResult(IntEnum):  # the real name
    NVRTC_SUCCESS = 0
    NVRTC_ERROR_INVALID_OPTION = 5
    NVRTC_ERROR_COMPILATION = 6


OK = nvrtcResult.NVRTC_SUCCESS


class Place(ctypes.Structure):
    """Three numbers, of a grid or a block."""

    _fields_ = (("x", ctypes.c_uint), ("y", ctypes.c_uint), ("z", ctypes.c_uint))


class Program:
    """Source, then what came of it: a shared library's content."""

    def __init__(self, source: bytes) -> None:
        self.source = source.decode()
        self.log = b""
        self.code = b""

    def compile(self) -> bool:
        head = host.PRIMITIVES.read_text("utf-8")
        if self.source.startswith(head):
            with tempfile.TemporaryDirectory() as folder:
                self.code = host.compile_into(Path(folder), self.source.removeprefix(head)).read_bytes()
            return True
        found = re.search(r"__global__\s+void\s+(\w+)\(([^)]*)\)", self.source)
        assert found is not None, "no kernel"
        arguments = [re.sub(r".*\W", "", parameter.strip()) for parameter in found[2].split(",")]
        tail = TAIL % {"parameters": found[2], "name": found[1], "arguments": ", ".join(arguments)}
        with tempfile.TemporaryDirectory() as folder:
            source, library = Path(folder) / "kernel.c", Path(folder) / "kernel.so"
            source.write_text(HEAD + self.source.replace('extern "C"', "") + tail)
            command = ["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(source)]
            result = subprocess.run(command, capture_output=True, check=False)
            self.log = result.stderr + b"\0"
            if result.returncode == 0:
                self.code = library.read_bytes()
        return result.returncode == 0


def names(machine: Machine) -> dict[str, object]:
    """Everything that the module holds."""
    alive: set[int] = set()

    def nvrtcCreateProgram(
        source: bytes, name: bytes, count: int, headers: list[bytes], include_names: list[bytes]
    ) -> tuple[Any, ...]:
        program = Program(source)
        alive.add(id(program))
        machine.objects["program"] += 1
        return OK, program

    def nvrtcCompileProgram(program: Program, count: int, options: list[bytes]) -> tuple[Any, ...]:
        major, minor = machine.compute
        if options != [f"--gpu-architecture=sm_{major}{minor}".encode()] or count != 1:
            return (nvrtcResult.NVRTC_ERROR_INVALID_OPTION,)
        return (OK if program.compile() else nvrtcResult.NVRTC_ERROR_COMPILATION,)

    def nvrtcGetProgramLogSize(program: Program) -> tuple[Any, ...]:
        return OK, len(program.log)

    def nvrtcGetProgramLog(program: Program, log: bytearray) -> tuple[Any, ...]:
        log[:] = program.log
        return (OK,)

    def nvrtcGetCUBINSize(program: Program) -> tuple[Any, ...]:
        return OK, len(program.code)

    def nvrtcGetCUBIN(program: Program, code: bytearray) -> tuple[Any, ...]:
        code[:] = program.code
        return (OK,)

    def nvrtcDestroyProgram(program: Program) -> tuple[Any, ...]:
        alive.remove(id(program))
        machine.objects["program"] -= 1
        return (OK,)

    return {name: value for name, value in locals().items() if name.startswith("nvrtc")}
