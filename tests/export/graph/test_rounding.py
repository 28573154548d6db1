"""What calibration takes for a rounded matmul, beside what ONNX Runtime makes of one."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from edgevlm_export.graph.matmul import MatmulWriter, Matrix, blockwise_matmul, int8_matmul
from edgevlm_export.graph.rounding import Inputs, Rounding, blockwise, per_call, weights_in_int4, weights_in_int8
from edgevlm_export.graph.trt.matmul import dequantised_int4_matmul, dequantised_int8_matmul
from edgevlm_export.graph.writer import GraphWriter

DRAW = np.random.default_rng(3)
ROWS = DRAW.normal(0, 1, (24, 256)).astype(np.float32)
ROWS[:, 7] *= 30
WEIGHT = DRAW.normal(0, 0.05, (40, 256)).astype(np.float16)
INPUTS = Inputs(ROWS, ROWS.min(axis=0), ROWS.max(axis=0))


@pytest.mark.parametrize(
    ("write", "rounding", "opset"),
    [
        (blockwise_matmul(8), blockwise(8), 20),
        (blockwise_matmul(4), blockwise(4), 20),
        (int8_matmul, per_call(), 20),
        (dequantised_int8_matmul, weights_in_int8(np.float32), 21),
        (dequantised_int4_matmul, weights_in_int4(np.float32), 21),
    ],
)
def test_it_is_what_the_operator_computes(
    write: MatmulWriter, rounding: Rounding, opset: int, tmp_path: Path
) -> None:
    graph = GraphWriter("matmul", np.float32, opset)
    hidden = graph.input("hidden", ("rows", 256))
    graph.output(write(graph, hidden, Matrix("w", 256, 40, lambda: WEIGHT)), "product", ("rows", 40))
    graph.save(tmp_path / "matmul.onnx", lambda count: None)
    options = onnxruntime.SessionOptions()
    # or DequantizeLinear and MatMul become one operator, which rounds activations too
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(tmp_path / "matmul.onnx", options, providers=["CPUExecutionProvider"])
    found = session.run(None, {"hidden": ROWS})[0]
    expected = rounding.activations(INPUTS) @ rounding.weights(WEIGHT).T
    exact = ROWS @ WEIGHT.astype(np.float32).T
    # one activation that rounds to the other side moves a product by a step; rounding itself moves all of them
    assert np.abs(found - expected).max() < 0.2 * np.abs(found - exact).max()


def test_what_is_not_there_is_not_divided_by() -> None:
    nothing = Inputs(np.zeros((2, 130), np.float32), np.zeros(130, np.float32), np.zeros(130, np.float32))
    for rounding in (blockwise(4), blockwise(8), per_call()):
        assert not rounding.activations(nothing).any()
        assert rounding.weights(np.zeros((3, 130), np.float16)).shape == (3, 130)
