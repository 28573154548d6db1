"""Every known trap, put into a graph of ours, is found with its node's name; the graphs as they are have none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from edgevlm_engines.manifest import Flavour
from edgevlm_engines.names import Device, Precision
from edgevlm_export.errors import ExportError
from edgevlm_export.exporter import export_bundle
from edgevlm_export.graph.trt.lint import OLDEST, Problem, check, lint
from edgevlm_export.graph.trt.operators import Version
from edgevlm_export.graph.writer import GraphWriter
from onnx import TensorProto, helper, numpy_helper

from tests.conftest import CASES, GOLDEN
from tests.export.graph.decoder_graphs import golden_model, write_graph
from tests.export.graph.trt.conftest import WIDE, TrtBundles
from tests.export.graph.trt.traps import NATIVE_TRAPS, SPLIT_TRAPS, Trap

VERSIONS: dict[Device, tuple[Version, ...]] = {
    "jetpack6": ((10, 3), (10, 7), (10, 16)),
    "jetpack7": ((10, 15), (10, 16), (11, 4)),
}
NEWEST: dict[Flavour, Version] = {"trt-split": (10, 3), "trt-native": (10, 16)}


def loaded(path: Path) -> onnx.ModelProto:
    """Without weights, as the exporter looks at it."""
    return onnx.load(path, load_external_data=False)


@pytest.mark.parametrize("device", VERSIONS)
@pytest.mark.parametrize(
    ("case", "precision"),
    [*((case, precision) for case in CASES for precision in ("fp16", "int8")), (WIDE, "int4")],
)
def test_exported_graphs_have_no_problem(
    trt_bundles: TrtBundles, case: str, device: Device, precision: Precision
) -> None:
    bundle = trt_bundles(case, device, precision)
    for name in ("vision.onnx", "decoder.onnx"):
        for version in VERSIONS[device]:
            assert check(loaded(bundle / name), version) == []


def test_a_graph_that_breaks_a_rule_fails_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT would take this one without a word: a causal mask that begins at the first key."""
    written = GraphWriter.op

    def causal(graph: GraphWriter, kind: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        if kind == "Attention":
            attributes["is_causal"] = 1
        return written(graph, kind, *inputs, **attributes)

    monkeypatch.setattr(GraphWriter, "op", causal)
    sentence = r"^decoder\.onnx is no graph for TensorRT 10\.15: layer0/Attention_\d+: is_causal begins at the first"
    with pytest.raises(ExportError, match=sentence):
        export_bundle(
            GOLDEN / "v2" / "checkpoint",
            tmp_path / "out" / "bundle",
            vision_tower=GOLDEN / "v2" / "clip",
            device="jetpack7",
            precision="fp16",
            vision_precision="fp32",
        )
    assert not list((tmp_path / "out").iterdir())


def test_graphs_for_onnx_runtime_are_not_held_to_it(bundles: Callable[[str], Path]) -> None:
    assert set(OLDEST) == {flavour for flavour in get_args(Flavour) if flavour != "ort"}
    lint(bundles("v2") / "decoder.onnx", "ort")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Flavour], onnx.ModelProto]:
    folder = tmp_path_factory.mktemp("rules")

    def made(flavour: Flavour) -> onnx.ModelProto:
        path = folder / f"{flavour}.onnx"
        if not path.exists():
            write_graph(golden_model("v2"), flavour, np.float16, path)
        return loaded(path)

    return made


@pytest.mark.parametrize("trap", [*NATIVE_TRAPS, *SPLIT_TRAPS])
def test_each_trap_is_found_with_its_node(graph: Callable[[Flavour], onnx.ModelProto], trap: Trap) -> None:
    flavour: Flavour = "trt-native" if trap in NATIVE_TRAPS else "trt-split"
    kind, text = {**NATIVE_TRAPS, **SPLIT_TRAPS}[trap]
    model = graph(flavour)
    assert check(model, NEWEST[flavour]) == []
    trap(model)
    found = [problem for problem in check(model, NEWEST[flavour]) if text in problem.text]
    assert [node.op_type for node in model.graph.node if node.name == found[0].node] == [kind]


def test_attention_in_float32_is_refused(tmp_path: Path) -> None:
    model = loaded(write_graph(golden_model("v2"), "trt-native", np.float32, tmp_path / "decoder.onnx"))
    assert {problem.text for problem in check(model, (10, 16))} == {"Attention is not there for FLOAT."}


@pytest.mark.parametrize(
    ("version", "kinds"),
    [
        ((10, 13), {"RMSNormalization", "RotaryEmbedding", "TensorScatter", "Attention"}),
        ((10, 14), {"RMSNormalization", "RotaryEmbedding", "TensorScatter"}),
        ((10, 15), set()),
    ],
)
def test_operators_that_came_later_are_refused(
    graph: Callable[[Flavour], onnx.ModelProto], version: Version, kinds: set[str]
) -> None:
    model = graph("trt-native")
    found = {problem.node for problem in check(model, version) if " from 10.1" in problem.text}
    assert {node.op_type for node in model.graph.node if node.name in found} == kinds


def test_a_later_opset_is_refused(graph: Callable[[Flavour], onnx.ModelProto]) -> None:
    model = graph("trt-split")
    model.opset_import[0].version = 24
    assert [str(problem) for problem in check(model, (10, 3))] == [
        "its opset 24 is later than 21, the last one read."
    ]
    assert check(model, (10, 16)) == []


def test_ort_bundles_are_refused(bundles: Callable[[str], Path]) -> None:
    problems = check(loaded(bundles("v2") / "decoder.onnx"), (10, 16))
    assert problems[0] == Problem("", "it uses operators of com.microsoft, which TensorRT does not have.")
    assert any(problem.node.startswith("layer1/GroupQueryAttention") for problem in problems)


def dequantised(weight: onnx.TensorProto, zero: onnx.TensorProto | None = None) -> onnx.ModelProto:
    names = ["w", "s", "z"] if zero else ["w", "s"]
    scale = numpy_helper.from_array(np.ones(weight.dims[1], np.float16), "s")
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT16, weight.dims)
    node = helper.make_node("DequantizeLinear", names, ["y"], "dequantise", axis=1)
    graph = helper.make_graph([node], "g", [], [output], [weight, scale, *([zero] if zero else [])])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def test_zero_points_and_odd_int4_are_refused() -> None:
    weight = numpy_helper.from_array(np.ones((2, 4), np.int8), "w")
    assert check(dequantised(weight), (10, 3)) == []
    assert check(dequantised(weight, numpy_helper.from_array(np.zeros(4, np.int8), "z")), (10, 3)) == []
    shifted = dequantised(weight, numpy_helper.from_array(np.array([0, 0, 1, 0], np.int8), "z"))
    assert [str(problem) for problem in check(shifted, (10, 3))] == [
        "dequantise: only symmetric weights are supported: no zero point, or zeros."
    ]
    odd = numpy_helper.from_array(np.ones((2, 3), ml_dtypes.int4), "w")
    assert [problem.text for problem in check(dequantised(odd), (10, 3))] == [
        "the last dimension of INT4 must be even."
    ]


def test_weights_that_are_not_stored_are_refused() -> None:
    model = dequantised(numpy_helper.from_array(np.ones((2, 4), np.int8), "w"))
    del model.graph.initializer[0]
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.INT8, (2, 4)))
    assert [str(problem) for problem in check(model, (10, 3))] == [
        "w: a network's inputs and outputs cannot be INT8.",
        "dequantise: weights and scales must be initializers.",
    ]


def test_uint8_inside_and_second_outputs_are_refused() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT16, (2, 4))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT16, (2, 4))
    one = numpy_helper.from_array(np.ones(4, np.float16), "one")
    nodes = [
        helper.make_node("LayerNormalization", ["x", "one"], ["normed", "mean"], "norm"),
        helper.make_node("Cast", ["normed"], ["bytes"], "narrow", to=TensorProto.UINT8),
        helper.make_node("Cast", ["bytes"], ["y"], "wide", to=TensorProto.FLOAT16),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], [one]), opset_imports=[helper.make_opsetid("", 18)]
    )
    assert [str(problem) for problem in check(model, (10, 3))] == [
        "norm: only the first output is supported.",
        "norm: newer parsers drop its stash_type, and large activations squared are beyond float16: cast around it.",
        "narrow: UINT8 can be an input or output of the network alone.",
        "wide: Cast is not there for UINT8.",
    ]
