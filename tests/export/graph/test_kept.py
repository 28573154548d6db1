"""Matmuls that keep the graph's type by their names."""

from pathlib import Path

import onnx
import pytest
from edgevlm_engines import load_engine, open_bundle
from edgevlm_engines.names import Precision
from edgevlm_export.errors import ExportError
from edgevlm_export.exporter import export_bundle

from tests.conftest import GOLDEN

V2 = GOLDEN / "v2"


def kept_bundle(folder: Path, *patterns: str, precision: Precision = "int4") -> Path:
    export_bundle(
        V2 / "checkpoint",
        folder,
        vision_tower=V2 / "clip",
        precision=precision,
        vision_precision="int8" if precision == "int4" else "fp32",
        kept=patterns,
    )
    return folder


def operators(bundle: Path) -> dict[str, str]:
    """By the name of the weight."""
    graphs = [onnx.load(bundle / name, load_external_data=False).graph for name in ("vision.onnx", "decoder.onnx")]
    return {
        node.input[1]: node.op_type
        for graph in graphs
        for node in graph.node
        if "MatMul" in node.op_type and node.input[1].endswith(".weight")
    }


def test_patterns_choose_by_name(tmp_path: Path) -> None:
    bundle = kept_bundle(tmp_path / "b", "model.layers.0.*", "*.fc2.weight", "lm_head.weight")
    found = operators(bundle)
    decoder = {name: kind for name, kind in found.items() if name.startswith(("model.layers.", "lm_head"))}
    kept = {name for name, kind in decoder.items() if kind == "MatMul"}
    assert kept == {name for name in decoder if name.startswith("model.layers.0.")} | {"lm_head.weight"}
    assert {kind for name, kind in decoder.items() if name not in kept} == {"MatMulNBits"}
    tower = {name: kind for name, kind in found.items() if "encoder.layers" in name}
    assert all((kind == "MatMul") == name.endswith("fc2.weight") for name, kind in tower.items())
    load_engine("ort", open_bundle(bundle), slots=1, max_length=160).close()


def test_a_pattern_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"--keep-fp16 model\.layer\.\* matches no matmul .* look like 'model\."):
        kept_bundle(tmp_path / "b", "model.layers.*", "model.layer.*")
    with pytest.raises(ExportError, match="nothing is rounded in these precisions"):
        kept_bundle(tmp_path / "b", "*", precision="fp32")
    assert not list(tmp_path.iterdir())
