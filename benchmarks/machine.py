"""Which machine and which code: what a figure means nothing without. Linux only."""

import os
import platform
import re
import subprocess
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parents[1]
INSTRUCTIONS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8", "asimd", "asimddp", "i8mm", "sve")
"""CPU flags that decide which kernels run."""

RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx-cu13")
GPUS = Path("/proc/driver/nvidia/gpus")


def cores() -> int:
    """Physical cores that this process may run on: the number of threads that ONNX Runtime takes by itself."""
    logical = os.sched_getaffinity(0)
    try:
        return len({_topology(cpu) for cpu in logical})
    except OSError:
        return len(logical)


def description() -> str:
    """Processor, cores and memory, and NVIDIA's cards."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    flags = " ".join(flag for flag in INSTRUCTIONS if flag in processor_flags())
    return ", ".join([f"{_model()} ({flags})", f"{cores()} cores", f"{memory / 2**30:.1f} GiB", *cards()])


def cards(folder: Path = GPUS) -> list[str]:
    """Names of NVIDIA's cards; a Jetson has none."""
    texts = [path.read_text() for path in sorted(folder.glob("*/information"))]
    return [name.strip() for text in texts for name in re.findall(r"^Model:(.*)$", text, re.MULTILINE)]


def processor_flags() -> set[str]:
    """Its instructions, by the kernel's names."""
    return set(_cpu("flags", "Features").split())


def commit() -> str:
    """The repository's commit, with `+changes` if its files differ."""
    try:
        name = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name}+changes" if changed else name


def heading(peer: str | None = None) -> str:
    """The line above every table; `peer` is another engine's name and version."""
    versions = [*runtimes(), *([peer] if peer else [])]
    return f"{description()}; commit {commit()}; {date.today()}; {', '.join(versions)}"


def runtimes() -> list[str]:
    """Names and versions of those that are installed; none of them is imported."""
    found = []
    for name in RUNTIMES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found


def _topology(cpu: int) -> str:
    return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()


def _model() -> str:
    try:
        # on ARM boards the processor has no name, but the board has
        return Path("/proc/device-tree/model").read_text().rstrip("\0")
    except OSError:
        return _cpu("model name") or platform.machine()


def _cpu(*names: str) -> str:
    """The first of these fields in `/proc/cpuinfo`, or nothing."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() in names:
            return value.strip()
    return ""


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
