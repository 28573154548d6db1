"""The TensorRT and the GPU of this machine. Knows no plans and no models."""

import re
from pathlib import Path

from edgevlm_engines.errors import CudaError, EngineLoadError
from edgevlm_engines.plan_cache import Target


def this_target() -> Target:
    """This machine's TensorRT and GPU. Raises `EngineLoadError` with one sentence where one of them is missing."""
    try:
        import tensorrt
    except ImportError:
        raise EngineLoadError(
            "TensorRT is not installed; it comes with JetPack as python3-libnvinfer, and a virtual environment sees "
            "it if it was made with --system-site-packages."
        ) from None
    try:
        from edgevlm_engines.cuda.runtime import device, enter_thread
    except ImportError:
        raise EngineLoadError(
            "CUDA's Python bindings are not installed; install edgevlm with its 'jetson' extra."
        ) from None
    try:
        enter_thread()
        found = device()
    except CudaError as error:
        raise EngineLoadError(f"CUDA finds no GPU here: {str(error).rstrip('.')}.") from None
    return Target(tensorrt.__version__, found.name, ".".join(map(str, found.compute)), system_release())


def system_release(path: Path = Path("/etc/nv_tegra_release")) -> str:
    """The release of Jetson's system, `R36.4.3`; empty where there is none, as on other computers."""
    try:
        found = re.search(r"\bR(\d+) \(release\), REVISION: ([\d.]+)", path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""
    return f"R{found[1]}.{found[2]}" if found else ""
