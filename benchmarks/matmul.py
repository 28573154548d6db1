"""One large matmul in ONNX Runtime: the rate at which a machine multiplies where nothing else is to be done."""

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def matmul_session(
    edge: int, dtype: type[np.floating[Any]], provider: str, threads: int = 0
) -> "InferenceSession | None":
    """`product`, `left` times a constant matrix, as a model multiplies by its weights; both `[edge, edge]`.

    `None` if ONNX Runtime is not installed, or this one cannot start the provider.
    """
    try:
        import onnxruntime
    except ImportError:
        return None
    if provider not in onnxruntime.get_available_providers():
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(_model(edge, dtype), options, providers=[provider])
    # without its libraries a provider is dropped with no more than a warning
    return session if provider in session.get_providers() else None


def _model(edge: int, dtype: type[np.floating[Any]]) -> bytes:
    right = np.random.default_rng(1).standard_normal((edge, edge), dtype=np.float32).astype(dtype)
    kind = helper.np_dtype_to_tensor_dtype(right.dtype)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["left", "right"], ["product"])],
        "matmul",
        [helper.make_tensor_value_info("left", kind, [edge, edge])],
        [helper.make_tensor_value_info("product", kind, [edge, edge])],
        [onnx.numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    content: bytes = model.SerializeToString()
    return content
