"""The TensorRT and the GPU of this machine. Knows no plans and no models."""

import re
from pathlib import Path

from edgevlm_engines.errors import CudaError, EngineLoadError, NotNow
from edgevlm_engines.names import Device
from edgevlm_engines.plan_cache import Target
from edgevlm_engines.trt.library import library_for


def this_target(exported_for: Device | None = None) -> Target:
    """This machine's TensorRT and GPU; `exported_for` is a bundle's device, and decides if there are two TensorRTs.

    Raises `EngineLoadError` with one sentence where one of them is missing, `NotNow` where others hold the GPU.
    """
    library = library_for(exported_for)
    try:
        from edgevlm_engines.cuda.runtime import device, enter_thread
    except ImportError:
        raise EngineLoadError(
            "CUDA's Python bindings are not installed; install edgevlm with its "
            f"'{'rtx' if library.compiles_at_load else 'jetson'}' extra."
        ) from None
    try:
        enter_thread()
        found = device()
    except CudaError as error:
        if error.held_by_others:
            raise NotNow(f"Other programs hold the GPU: {error}") from None
        raise EngineLoadError(f"CUDA finds no GPU here: {str(error).rstrip('.')}.") from None
    compute = ".".join(map(str, found.compute))
    return Target(library.version, found.name, compute, system_release(), library.name)


def system_release(path: Path = Path("/etc/nv_tegra_release")) -> str:
    """The release of Jetson's system, `R36.4.3`; empty where there is none, as on other computers."""
    try:
        found = re.search(r"\bR(\d+) \(release\), REVISION: ([\d.]+)", path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""
    return f"R{found[1]}.{found[2]}" if found else ""
