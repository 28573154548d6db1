"""Runs a bundle's graph on ONNX Runtime and gives values from inside it. Knows no models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from edgevlm_engines.ort.external_data import graph_with_weights_at, open_folder
from edgevlm_engines.ort.session import WEIGHTS_FOLDER
from numpy.typing import NDArray

PACKED = "MatMulNBits"
"""Unless its weights are packed, ONNX Runtime does not round its activations: other numbers than in serving."""

Array = NDArray[Any]


class InnerValues:
    """A graph on the CPU. `wanted` says which values to give: names to give them by, and their names in the graph."""

    def __init__(self, path: Path, wanted: Callable[[onnx.GraphProto], dict[str, str]]) -> None:
        weights = path.with_suffix(".data").resolve()
        model = onnx.load_model_from_string(graph_with_weights_at(path, weights))
        self._values = wanted(model.graph)
        outputs = {output.name for output in model.graph.output}
        for value in sorted({*self._values.values()} - outputs):
            # without a type, ONNX Runtime finds it out
            model.graph.output.append(onnx.ValueInfoProto(name=value))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # weights stay in the file that is mapped: in float32, a large model has more of them than the memory holds
        if not any(node.op_type == PACKED for node in model.graph.node):
            options.add_session_config_entry("session.disable_prepacking", "1")
        with open_folder(weights.parent) as folder:
            options.add_session_config_entry(WEIGHTS_FOLDER, folder)
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        self._half = {one.name for one in self._session.get_inputs() if one.type == "tensor(float16)"}

    def run(self, inputs: dict[str, Array], *others: str) -> dict[str, Array]:
        """The inner values, and `others` of the graph's own outputs, by name, in float32."""
        given = {name: value.astype(np.float16) if name in self._half else value for name, value in inputs.items()}
        names = [*dict.fromkeys(self._values.values()), *others]
        found = dict(zip(names, self._session.run(names, given), strict=True))
        wanted = {**self._values, **{name: name for name in others}}
        return {name: found[value].astype(np.float32, copy=False) for name, value in wanted.items()}


def matmul_inputs(graph: onnx.GraphProto) -> dict[str, str]:
    """What goes into each matmul with a stored weight, by the weight's name."""
    stored = {weight.name for weight in graph.initializer}
    return {
        node.input[1]: node.input[0] for node in graph.node if node.op_type == "MatMul" and node.input[1] in stored
    }
