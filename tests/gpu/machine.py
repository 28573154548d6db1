"""What a report says of the machine. Knows no engines."""

import datetime
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("onnxruntime-gpu", "onnxruntime", "tensorrt", "tensorrt-rtx-cu13-bindings", "cuda-bindings", "numpy")


def has_gpu() -> bool:
    """Whether NVIDIA's driver shows one."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def described(rehearse: bool) -> dict[str, str]:
    """Names and versions. Raises `CudaError` where CUDA refuses its device."""
    found = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "Python": platform.python_version(),
    }
    found |= {"device": "none: a rehearsal on the CPU and on stand-ins"} if rehearse else _gpu()
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _gpu() -> dict[str, str]:
    from cuda.bindings import runtime
    from edgevlm_engines.cuda.runtime import call, device, enter_thread

    enter_thread()
    gpu = device()
    cuda = call(runtime.cudaRuntimeGetVersion)
    said = Path("/proc/driver/nvidia/version").read_text("utf-8")
    driver = re.search(r"\d+\.\d+(\.\d+)?", said)
    return {
        "device": f"{gpu.name}, compute capability {gpu.compute[0]}.{gpu.compute[1]}",
        "driver": driver[0] if driver else said.splitlines()[0],
        "CUDA": f"{cuda // 1000}.{cuda % 1000 // 10}",
    }
