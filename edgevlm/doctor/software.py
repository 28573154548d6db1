"""What a Python interpreter can import: names and versions of packages, from their metadata and not by import."""

import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from typing import NamedTuple

from edgevlm_server.device.root import Root

TENSORRT = "tensorrt"
TENSORRT_RTX = "tensorrt-rtx-cu13"
RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
BINDINGS = ("cuda-bindings", "cuda-python")
TRIAL_SECONDS = 60


class Package(NamedTuple):
    """`tag` is the wheel's: for which Python and which systems it was built."""

    name: str
    version: str
    tag: str


class Trial(NamedTuple):
    """What came of importing something in a process of its own: its answer, or why there is none."""

    done: bool
    text: str


@dataclass(frozen=True, slots=True)
class Interpreter:
    """`path` is where it looks for packages; `try_code` runs a line of Python in a process of its own."""

    version: tuple[int, int, int]
    in_venv: bool
    path: tuple[str, ...]
    try_code: Callable[[str], Trial]


@dataclass(frozen=True, slots=True)
class Software:
    """Versions as `10.3.0`; `None` is not there.

    `tensorrt` is JetPack's, `tensorrt_rtx` TensorRT-RTX for a PC. `tensorrt_outside` says that the system has a
    TensorRT for Python that this interpreter does not see. `providers` are ONNX Runtime's; `target` is this machine's
    TensorRT and GPU, or why they do not work.
    """

    python: str
    in_venv: bool
    tensorrt: Package | None
    tensorrt_rtx: Package | None
    tensorrt_outside: bool
    bindings: Package | None
    runtimes: tuple[Package, ...]
    providers: tuple[str, ...]
    target: Trial | None


def this_interpreter() -> Interpreter:
    """The one that runs this."""
    return Interpreter(sys.version_info[:3], sys.prefix != sys.base_prefix, tuple(sys.path), _try)


def read_software(root: Root, interpreter: Interpreter) -> Software:
    found = _packages(interpreter.path, (TENSORRT, TENSORRT_RTX, *RUNTIMES, *BINDINGS))
    runtimes = tuple(found[name] for name in RUNTIMES if name in found)
    bindings = next((found[name] for name in BINDINGS if name in found), None)
    tensorrt, tensorrt_rtx = found.get(TENSORRT), found.get(TENSORRT_RTX)
    return Software(
        python=".".join(map(str, interpreter.version)),
        in_venv=interpreter.in_venv,
        tensorrt=tensorrt,
        tensorrt_rtx=tensorrt_rtx,
        tensorrt_outside=tensorrt is None and _outside(root),
        bindings=bindings,
        runtimes=runtimes,
        providers=_providers(interpreter) if runtimes else (),
        target=_target(interpreter) if (tensorrt or tensorrt_rtx) and bindings else None,
    )


def _packages(path: Sequence[str], names: Sequence[str]) -> dict[str, Package]:
    """Those that are found first, by their name in lower case."""
    found: dict[str, Package] = {}
    for distribution in distributions(path=list(path)):
        name = (distribution.name or "").lower().replace("_", "-")
        if name in names and name not in found:
            found[name] = Package(name, distribution.version, _tag(distribution))
    return found


def _tag(distribution: Distribution) -> str:
    lines = (distribution.read_text("WHEEL") or "").splitlines()
    return next((line.removeprefix("Tag:").strip() for line in lines if line.startswith("Tag:")), "")


def _outside(root: Root) -> bool:
    folders = [
        f"/usr/lib/{name}/dist-packages/tensorrt" for name in root.names("/usr/lib") if name.startswith("python")
    ]
    return any(root.path(folder).is_dir() for folder in folders)


def _providers(interpreter: Interpreter) -> tuple[str, ...]:
    trial = interpreter.try_code("import onnxruntime; print(*onnxruntime.get_available_providers())")
    return tuple(trial.text.split()) if trial.done else ()


def _target(interpreter: Interpreter) -> Trial:
    """As the engine will ask, in its words."""
    return interpreter.try_code(
        "from edgevlm_engines.errors import EngineError\n"
        "from edgevlm_engines.trt.target import this_target\n"
        "try: target = this_target()\n"
        "except EngineError as error: raise SystemExit(str(error))\n"
        "print(f'{target.software}, {target.device}, compute capability {target.compute}')"
    )


def _try(code: str) -> Trial:
    """A library that crashes, or waits for ever, ends that process and not this one."""
    command = [sys.executable, "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TRIAL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Trial(False, f"no answer within {TRIAL_SECONDS} s")
    if done.returncode == 0:
        return Trial(True, done.stdout.strip())
    last = done.stderr.strip().splitlines()[-1:] or [f"the process ended with code {done.returncode}"]
    return Trial(False, last[0].rstrip("."))


def machine() -> str:
    """The processor's architecture."""
    return platform.machine()
