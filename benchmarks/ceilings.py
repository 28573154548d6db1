"""What a machine can do at best: reading memory and multiplying matrices. Knows no models."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from edgevlm_engines.errors import CudaError

from benchmarks import gpu
from benchmarks.matmul import matmul_session
from benchmarks.measure import timed
from edgevlm.doctor.fit import memory_bandwidth
from edgevlm.doctor.survey import take_survey

READ_BYTES = 1 << 30
"""Well beyond the last level of cache of any machine that this is for."""

EDGE = 2048
REPEATS = 5


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Bytes read and operations in `numbers` done in a second, at best; `None`: not known.

    `on_paper` is what the data sheet of a Jetson's memory says, at the clock that is allowed now.
    """

    bandwidth: float | None
    multiplications: float | None
    numbers: Literal["fp32", "fp16"]
    on_paper: float | None = None


def processor_ceilings(threads: int) -> Ceilings:
    """Measured."""
    return Ceilings(read_bandwidth(threads), multiplication_rate(threads), "fp32")


def gpu_ceilings() -> Ceilings:
    """Measured as far as the bindings of CUDA and an ONNX Runtime for it are there."""
    on_paper = memory_bandwidth(take_survey(Path.cwd()))
    try:
        return Ceilings(gpu.read_bandwidth(), gpu.multiplication_rate(), "fp16", on_paper)
    except (ImportError, CudaError) as error:
        print(f"What the GPU can do at best is not measured: {error}", file=sys.stderr)
        return Ceilings(None, None, "fp16", on_paper)


def read_bandwidth(threads: int) -> float:
    """Bytes a second that `threads` threads read from memory together, the best of some passes.

    Each takes the maximum of its own stretch of bytes: numpy does that in vector registers and without the
    interpreter's lock, so nothing but the reading takes time.
    """
    stretches = np.array_split(np.ones(READ_BYTES, np.uint8), threads)
    with ThreadPoolExecutor(threads) as pool:
        passes = timed(lambda _: list(pool.map(np.maximum.reduce, stretches)), REPEATS)
    return READ_BYTES / passes.minimum


def multiplication_rate(threads: int) -> float:
    """Floating-point operations a second of ONNX Runtime's own float32 matmul of large square matrices.

    Not the processor's peak, but what the runtime makes of it where nothing else is to be done. Int8 kernels can
    exceed it.
    """
    session = matmul_session(EDGE, np.float32, "CPUExecutionProvider", threads)
    assert session is not None, "every engine of the processor is ONNX Runtime"
    matrix = np.random.default_rng(0).standard_normal((EDGE, EDGE), dtype=np.float32)
    runs = timed(lambda _: session.run(["product"], {"left": matrix}), REPEATS)
    return float(2 * EDGE**3 / runs.minimum)
