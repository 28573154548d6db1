"""Which graphs TensorRT can run as they are meant, told before a bundle leaves the exporter. Knows no TensorRT.

A graph is held to the table of operators and to the rules of each, for the oldest TensorRT that its flavour is for.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import onnx
from edgevlm_engines.manifest import Flavour
from edgevlm_engines.plan_cache import NATIVE_SINCE
from edgevlm_engines.version import version_text
from onnx import NodeProto, TensorProto

from edgevlm_export.errors import ExportError
from edgevlm_export.graph.trt.graph_view import GraphView, type_name
from edgevlm_export.graph.trt.operators import BORDER, OPERATORS, Version, latest_opset
from edgevlm_export.graph.trt.rules import RULES

OLDEST: dict[Flavour, Version] = {"trt-split": (10, 3), "trt-native": NATIVE_SINCE}
"""The first version that a flavour's graphs must run on; later ones read them too."""


class Problem(NamedTuple):
    """`node` is a node's name, or that of an input or output, or empty for the whole graph."""

    node: str
    text: str

    def __str__(self) -> str:
        return f"{self.node}: {self.text}" if self.node else self.text


def lint(path: Path, flavour: Flavour) -> None:
    """Raise `ExportError` for a file that TensorRT would refuse or misread. Graphs for ONNX Runtime pass unread."""
    if flavour not in OLDEST:
        return
    version = OLDEST[flavour]
    for problem in check(onnx.load(path, load_external_data=False), version):
        raise ExportError(f"{path.name} is no graph for TensorRT {version_text(version)}: {problem}")


def check(model: onnx.ModelProto, version: Version) -> list[Problem]:
    """All problems of a graph with a version of TensorRT."""
    graph = GraphView(model)
    return [*_opset_problems(model, version), *_border_problems(model), *_node_problems(graph, version)]


def _opset_problems(model: onnx.ModelProto, version: Version) -> Iterator[Problem]:
    for imported in model.opset_import:
        if imported.domain not in ("", "ai.onnx"):
            yield Problem("", f"it uses operators of {imported.domain}, which TensorRT does not have.")
        elif imported.version > latest_opset(version):
            yield Problem(
                "", f"its opset {imported.version} is later than {latest_opset(version)}, the last one read."
            )


def _border_problems(model: onnx.ModelProto) -> Iterator[Problem]:
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type not in BORDER:
            yield Problem(
                value.name, f"a network's inputs and outputs cannot be {type_name(value.type.tensor_type.elem_type)}."
            )


def _node_problems(graph: GraphView, version: Version) -> Iterator[Problem]:
    for node in graph.nodes:
        for text in (*_operator_problems(graph, node, version), *_rule_problems(graph, node)):
            yield Problem(node.name, text)


def _operator_problems(graph: GraphView, node: NodeProto, version: Version) -> Iterator[str]:
    known = OPERATORS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if known is None:
        yield f"the operator {node.op_type} is not among those that were looked up for TensorRT."
    elif known.since > version:
        yield f"TensorRT has the operator {node.op_type} from {version_text(known.since)} on."
    else:
        found = graph.type(node.input[1 if node.op_type == "Where" else 0])
        if found and found not in known.types:
            yield f"{node.op_type} is not there for {type_name(found)}."
    for name in node.output:
        if graph.type(name) == TensorProto.UINT8 and name not in graph.outputs:
            yield "UINT8 can be an input or output of the network alone."


def _rule_problems(graph: GraphView, node: NodeProto) -> Iterator[str]:
    if node.op_type in RULES:
        yield from RULES[node.op_type](graph, node)
