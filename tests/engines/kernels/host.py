"""Builds the decode kernels with the host's C++ compiler, and launches them."""

import ctypes
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from edgevlm_engines.cuda import decode_launches
from edgevlm_engines.cuda.decode_launches import Launch
from numpy.typing import NDArray

HERE = Path(__file__).parent
KERNELS = Path(decode_launches.__file__).with_name("decode_kernels.cu")
PRIMITIVES = KERNELS.with_name("decode_primitives.cu")


def build(folder: Path) -> ctypes.CDLL:
    """The product's own text, ready to be launched."""
    return ctypes.CDLL(str(compile_into(folder, KERNELS.read_text("utf-8"))))


def compile_into(folder: Path, source: str) -> Path:
    """The library made of a text, between a head that stands for CUDA and a tail that launches kernels."""
    written, library = folder / "kernels.cpp", folder / "kernels.so"
    written.write_text(f'#include "{HERE / "host.h"}"\n{source}\n#include "{HERE / "launch.h"}"\n', "utf-8")
    options = ["-std=c++17", "-O2", "-Wno-unknown-pragmas", "-shared", "-fPIC"]
    subprocess.run(["g++", *options, "-o", str(library), str(written)], check=True)
    return library


def run(library: ctypes.CDLL, launch: Launch, *, backwards: bool = False) -> None:
    """Run one kernel to its end."""
    held = [kind(value) for kind, value in zip(launch.types, launch.values, strict=True)]
    pointers = (ctypes.c_void_p * len(held))(*[ctypes.addressof(value) for value in held])
    code = library.launch(launch.kernel.encode(), *launch.grid, launch.threads, pointers, int(backwards))
    assert code == 0, (launch.kernel, code)


def aligned(array: NDArray[Any]) -> NDArray[Any]:
    """A copy at a multiple of 16 bytes, as device memory has it."""
    memory = np.zeros(array.nbytes + 16, np.uint8)
    start = -memory.ctypes.data % 16
    copied = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copied[...] = array
    return copied
