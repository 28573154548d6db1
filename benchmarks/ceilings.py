"""What a machine can do at best: reading memory and multiplying matrices. Knows no models."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper

from benchmarks.measure import timed
from edgevlm.doctor.fit import memory_bandwidth
from edgevlm.doctor.survey import take_survey

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

READ_BYTES = 1 << 30
"""Well beyond the last level of cache of any machine that this is for."""

EDGE = 2048
REPEATS = 5


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Bytes read and float32 operations done in a second, at best; `None`: not known. `source` says where from."""

    bandwidth: float | None
    multiplications: float | None
    source: str


def measure_ceilings(threads: int) -> Ceilings:
    """Of the processor."""
    return Ceilings(read_bandwidth(threads), multiplication_rate(threads), "measured")


def module_ceilings() -> Ceilings:
    """Of a Jetson's GPU, from the data sheet of its memory and the clock that is allowed now: nothing is measured."""
    return Ceilings(memory_bandwidth(take_survey(Path.cwd())), None, "on paper")


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
    session = _matmul(threads)
    matrix = np.random.default_rng(0).standard_normal((EDGE, EDGE), dtype=np.float32)
    runs = timed(lambda _: session.run(["product"], {"left": matrix}), REPEATS)
    return float(2 * EDGE**3 / runs.minimum)


def _matmul(threads: int) -> "InferenceSession":
    """`left` times a constant matrix, as a model multiplies by its weights."""
    import onnxruntime

    right = np.random.default_rng(1).standard_normal((EDGE, EDGE), dtype=np.float32)
    edge = [EDGE, EDGE]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["left", "right"], ["product"])],
        "matmul",
        [helper.make_tensor_value_info("left", TensorProto.FLOAT, edge)],
        [helper.make_tensor_value_info("product", TensorProto.FLOAT, edge)],
        [onnx.numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
