"""Stand-ins for `tensorrt`, `tensorrt_rtx` and `cuda.bindings`, on host memory: no GPU is here. They show that the
engine calls them rightly, not that a GPU computes rightly.

A plan is an ONNX graph with a header, and ONNX Runtime runs it when the stream is waited for, no sooner. What a real
device punishes, perhaps later and elsewhere, is a `Violation` here at once; `Machine.violations` remembers them all.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec

import pytest
from edgevlm_engines.trt.library import _log

from tests.tensorrt.standin import builder, cuda_driver, cuda_nvrtc, cuda_runtime, tensorrt_runtime
from tests.tensorrt.standin.machine import Machine, Violation
from tests.tensorrt.standin.modules import module
from tests.tensorrt.standin.plan_file import ProfileShapes, pack_plan
from tests.tensorrt.standin.tensorrt_types import Severity

__all__ = ["Machine", "ProfileShapes", "Violation", "installed", "pack_plan"]

_USERS = ("edgevlm_engines.cuda", "edgevlm_engines.trt")
"""Folders whose modules keep hold of what is stood in for,"""

_LATE = tuple(f"edgevlm_engines.trt.{name}" for name in ("kernel_cache", "library", "log", "target"))
"""but for those that ask for it when they are called."""


@contextmanager
def installed(tensorrt: str = "10.16.0") -> Iterator[Machine]:
    """Within it, `import tensorrt` and `from cuda.bindings import ...` find the stand-ins, on a fresh machine.

    `tensorrt` is the version that it says it is; below 10 it is that of `tensorrt_rtx`, and there is no `tensorrt`.
    """
    machine = Machine(tensorrt)
    bindings = {
        "runtime": module("runtime", cuda_runtime.names(machine)),
        "driver": module("driver", cuda_driver.names(machine)),
        "nvrtc": module("nvrtc", cuda_nvrtc.names(machine)),
    }
    package = module("bindings", bindings)
    modules = {
        machine.module: module(
            machine.module, {**tensorrt_runtime.names(machine), **builder.names(machine, Severity.ERROR)}
        ),
        "cuda": module("cuda", {"bindings": package}),
        "cuda.bindings": package,
        **{f"cuda.bindings.{name}": value for name, value in bindings.items()},
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in _users():
            patch.delitem(sys.modules, name)
        for name, value in modules.items():
            # whoever looks whether a module is installed asks for this
            value.__spec__ = ModuleSpec(name, None)
            patch.setitem(sys.modules, name, value)
        try:
            yield machine
        finally:
            # a later test must not find them bound to this machine
            for name in _users():
                del sys.modules[name]
            _log.cache_clear()


def _users() -> list[str]:
    """Those that have been imported."""
    named = [name for name in sys.modules if any(name == user or name.startswith(f"{user}.") for user in _USERS)]
    return [name for name in named if name not in _LATE]
