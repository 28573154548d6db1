"""Kernels that TensorRT-RTX compiles when a plan is loaded, kept in a file beside the plan. Knows no models.

Its plans hold no kernels for one GPU: they are made at load, which takes longer than all the rest of a start. The
file belongs to the plan's folder, whose name stands for all that the plan was built from and for. One that is damaged
or from elsewhere costs that time again, and nothing else.
"""

import hashlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from edgevlm_engines.trt.library import Library

if TYPE_CHECKING:
    import tensorrt_rtx

log = logging.getLogger(__name__)

SUFFIX = ".kernels"
FORMAT = b"edgevlm kernels 1\n"


class KernelCache:
    """What is compiled for one plan. Each of its contexts must be made with `config`, or with `exact`.

    `exact` compiles kernels for the very shapes that a context is given, when it first meets them. That takes time,
    and steps are faster by far: for contexts that meet few.
    """

    def __init__(self, engine: "tensorrt_rtx.ICudaEngine", plan: Path, library: Library) -> None:
        """Reads what was kept beside `plan`, if it can be used. Must go before `engine` does."""
        self._path = plan.with_suffix(SUFFIX)
        strategies = library.tensorrt.DynamicShapesKernelSpecializationStrategy
        self.config: tensorrt_rtx.IRuntimeConfig = _config(engine, library, strategies.NONE)
        self.exact: tensorrt_rtx.IRuntimeConfig = _config(engine, library, strategies.EAGER)
        self._cache: tensorrt_rtx.IRuntimeCache = self.config.create_runtime_cache()
        self._kept = self._load()
        self.config.set_runtime_cache(self._cache)
        self.exact.set_runtime_cache(self._cache)
        library.log.clear()  # what was wrong with the file has been told

    def save(self) -> None:
        """Whole or not at all, and only what is new."""
        serialized: tensorrt_rtx.IHostMemory | None = self._cache.serialize()
        content = b"" if serialized is None else bytes(serialized)
        if content in (b"", self._kept):
            return
        part = self._path.with_name(f".{self._path.name}.{os.getpid()}.partial")
        try:
            part.write_bytes(self._header(content) + content)
            part.replace(self._path)
            self._kept = content
        except OSError as error:
            log.info("Compiled kernels cannot be kept in %s: %s.", self._path, error.strerror)
            part.unlink(missing_ok=True)

    def _load(self) -> bytes:
        """What the file held and TensorRT-RTX took; empty if there is none."""
        try:
            stored = self._path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            log.info("%s cannot be read, and kernels are compiled again: %s.", self._path, error.strerror)
            return b""
        content = stored[len(self._header(b"")) :]
        # judged before the library's own reader sees it, which need not expect damage
        if stored.startswith(self._header(content)) and self._cache.deserialize(content):
            return content
        log.info("%s cannot be used here, and kernels are compiled again.", self._path)
        self._cache.reset()
        return b""

    def _header(self, content: bytes) -> bytes:
        """The name of the plan's folder, the plan, and the digest of what follows."""
        digest = hashlib.sha256(content).hexdigest()
        return FORMAT + f"{self._path.parent.name}/{self._path.stem}\n{digest}\n".encode()


def _config(
    engine: "tensorrt_rtx.ICudaEngine",
    library: Library,
    specialization: "tensorrt_rtx.DynamicShapesKernelSpecializationStrategy",
) -> "tensorrt_rtx.IRuntimeConfig":
    """With NONE a call is computed by the kernels that were there at load, whatever its shape, and EAGER compiles for
    each shape before its first call. The default does that in the background and goes over to the new kernels when
    they are done, so the same call may give other bits later.
    """
    config: tensorrt_rtx.IRuntimeConfig = engine.create_runtime_config()
    strategies = library.tensorrt.ExecutionContextAllocationStrategy
    config.set_execution_context_allocation_strategy(strategies.USER_MANAGED)
    config.dynamic_shapes_kernel_specialization_strategy = specialization
    # graphs are captured in `graphs.py`, with the append kernel in them
    config.cuda_graph_strategy = library.tensorrt.CudaGraphStrategy.DISABLED
    return config
