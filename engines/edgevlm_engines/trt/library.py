"""Which TensorRT is installed, and the library itself: JetPack's, or TensorRT-RTX for a PC. Knows no GPU, no plans.

They have the same names for most things, and versions of their own: neither runs what the other has built. A bundle's
device says which one it is for. Nothing else imports one of them but for its types.
"""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType

from edgevlm_engines.errors import EngineLoadError
from edgevlm_engines.names import Device
from edgevlm_engines.plan_cache import LIBRARIES, TENSORRT, TENSORRT_RTX
from edgevlm_engines.trt.log import Log

MODULES = {TENSORRT: "tensorrt", TENSORRT_RTX: "tensorrt_rtx"}

MISSING = {
    TENSORRT: (
        "TensorRT is not installed; it comes with JetPack as python3-libnvinfer, and a virtual environment sees it "
        "if it was made with --system-site-packages."
    ),
    TENSORRT_RTX: "TensorRT-RTX is not installed; install edgevlm with its 'rtx' extra.",
}
INSTEAD = {
    TENSORRT: "TensorRT is not installed; on this PC there is TensorRT-RTX: export with --device rtx.",
    TENSORRT_RTX: (
        "TensorRT-RTX is not installed, and TensorRT is: on a Jetson, export with --device jetpack6 or jetpack7; on "
        "a PC, install edgevlm with its 'rtx' extra."
    ),
}
"""What to say where the other one is there."""


@dataclass(frozen=True, slots=True)
class Library:
    """`name` is TensorRT or TensorRT-RTX, `tensorrt` the module, `log` what it is given as its logger."""

    name: str
    tensorrt: ModuleType
    log: Log

    @property
    def version(self) -> str:
        """All of it, `1.4.0.76`."""
        return str(self.tensorrt.__version__)

    @property
    def software(self) -> str:
        """For people."""
        return f"{self.name} {self.version}"

    @property
    def compiles_at_load(self) -> bool:
        """Whether a plan holds kernels that are compiled when it is loaded."""
        return self.name == TENSORRT_RTX


def library_for(device: Device | None) -> Library:
    """What runs a bundle that was exported for `device`, or else what is installed. Raises `EngineLoadError`."""
    wanted = LIBRARIES[device] if device in LIBRARIES else next(filter(_module, MODULES), TENSORRT)
    module = _module(wanted)
    if module is None:
        other = any(_module(name) for name in MODULES)
        raise EngineLoadError((INSTEAD if other else MISSING)[wanted])
    return Library(wanted, module, _log(module))


def _module(name: str) -> ModuleType | None:
    try:
        return import_module(MODULES[name])
    except ImportError:
        return None


@cache
def _log(module: ModuleType) -> Log:
    """One for the process: TensorRT keeps the first logger that it is given and passes nothing to later ones."""
    return Log(module)
