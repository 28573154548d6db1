"""Runs a bundle's graph on ONNX Runtime and gives values from inside it. Knows no models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from numpy.typing import NDArray

Array = NDArray[Any]


class InnerValues:
    """A graph in float32. `wanted` says which values to give: names to give them by, and their names in the graph."""

    def __init__(self, path: Path, wanted: Callable[[onnx.GraphProto], dict[str, str]]) -> None:
        model = onnx.load(path, load_external_data=False)
        self._values = wanted(model.graph)
        outputs = {output.name for output in model.graph.output}
        for value in sorted({*self._values.values()} - outputs):
            model.graph.output.append(onnx.helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, None))
        # beside the original, because its weights are found relative to it
        copy = path.with_name(f"inner_{path.name}")
        onnx.save(model, copy)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # weights stay in the file that is mapped: in float32, a large model has more of them than the memory holds
        options.add_session_config_entry("session.disable_prepacking", "1")
        self._session = onnxruntime.InferenceSession(copy, options, providers=["CPUExecutionProvider"])

    def run(self, inputs: dict[str, Array], *others: str) -> dict[str, Array]:
        """The inner values, and `others` of the graph's own outputs, by name."""
        names = [*dict.fromkeys(self._values.values()), *others]
        found = dict(zip(names, self._session.run(names, inputs), strict=True))
        return {name: found[value] for name, value in self._values.items()} | {name: found[name] for name in others}


def matmul_inputs(graph: onnx.GraphProto) -> dict[str, str]:
    """What goes into each matmul with a stored weight, by the weight's name."""
    stored = {weight.name for weight in graph.initializer}
    return {
        node.input[1]: node.input[0] for node in graph.node if node.op_type == "MatMul" and node.input[1] in stored
    }
