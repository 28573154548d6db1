"""`python -m tests.tensorrt.twin`: runs the product's builder on TensorRT-RTX, which builds without a GPU.

TensorRT-RTX is another product with the same parser and much the same network: what it refuses TensorRT refuses, most
likely; what it builds are plans for x86 and no Jetson. For a Jetson's bundle it stands in for the module `tensorrt`
in this process; a bundle for `rtx` is its own. One thing is added: its builder is told a compute capability, where
the real one looks at the GPU.
"""

import json
import logging
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any

import tensorrt_rtx

MIB = 2**20

NO_GPU = "Error Code 1: Cuda Runtime"
"""What is logged as an error because there is no driver, and hinders nothing."""

WORK = r"Total Activation Memory: (\d+) bytes"
"""What the builder says of the memory that a profile works in, in the order of plans and their profiles."""


class _Builder(tensorrt_rtx.Builder):
    def create_builder_config(self) -> Any:
        config = super().create_builder_config()
        config.num_compute_capabilities = 1
        config.set_compute_capability(tensorrt_rtx.ComputeCapability.SM86, 0)
        return config


def main() -> None:
    """Reads jobs as JSON from standard input, one a line; answers each with a line of JSON."""
    tensorrt_rtx.Builder = _Builder
    sys.modules["tensorrt"] = tensorrt_rtx
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    from edgevlm_engines import EngineError
    from edgevlm_export.errors import ExportError

    began = time.perf_counter()
    warnings: list[str] = []
    logging.getLogger("edgevlm_export").handlers = [_Kept(warnings)]
    messages: list[str] = []
    logger = logging.getLogger("edgevlm_engines.trt.log")
    logger.setLevel(logging.DEBUG)
    errors: list[str] = []
    logger.handlers = [_Kept(messages, logging.DEBUG), _Kept(errors, logging.ERROR)]
    try:
        sizes = _bundle(job) if "bundle" in job else {"plan": _graph(job)}
    except (EngineError, ExportError) as error:
        return {"error": str(error)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {
        "sizes": sizes,
        "warnings": warnings,
        "errors": [text for text in errors if NO_GPU not in text],
        "work_bytes": [int(found[1]) for text in messages if (found := re.search(WORK, text))],
        "seconds": time.perf_counter() - began,
        "peak_mib": peak,
    }


class _Kept(logging.Handler):
    """Keeps the texts of messages from a level on."""

    def __init__(self, texts: list[str], level: int = logging.WARNING) -> None:
        super().__init__(level)
        self._texts = texts

    def emit(self, record: logging.LogRecord) -> None:
        self._texts.append(record.getMessage())


def _graph(job: dict[str, Any]) -> int:
    """Bytes of the plan of the graph in a file."""
    from edgevlm_engines.trt.library import library_for
    from edgevlm_export.trt.compiler import compile_graph
    from edgevlm_export.trt.effort import Effort
    from edgevlm_export.trt.profiles import Range

    path = Path(job["path"])
    profile = {name: Range(*map(tuple, ranges)) for name, ranges in job["profile"].items()}
    effort = Effort(workspace=256 * MIB, memory=None, level=3)
    return int(compile_graph(path.read_bytes(), path, [profile], effort, library_for("rtx")).nbytes)


def _bundle(job: dict[str, Any]) -> dict[str, int]:
    """Bytes of a bundle's plans, built into a plans folder; the target is only a name."""
    from edgevlm_engines import open_bundle
    from edgevlm_engines.plan_cache import TENSORRT, Target, plan_shape
    from edgevlm_engines.trt.library import library_for
    from edgevlm_export.trt.builder import build_plans

    bundle = open_bundle(Path(job["bundle"]))
    library = library_for(bundle.manifest.device)
    version = job["tensorrt"] if library.name == TENSORRT else library.version
    target = Target(version, f"TensorRT-RTX {tensorrt_rtx.__version__} without a GPU", "8.6", "", library.name)
    shape = plan_shape(job["slots"], job["max_length"])
    plans = build_plans(bundle, shape, Path(job["plans"]), target)
    return {path.name: path.stat().st_size for path in plans.glob("*.plan")}


if __name__ == "__main__":
    main()
