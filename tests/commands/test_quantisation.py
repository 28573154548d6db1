"""What quantising costs on a trained model: the demo, whose answers can be checked."""

from pathlib import Path

import numpy as np
import pytest
from edgevlm_demo import checkpoint_folder, clip_folder
from edgevlm_engines.names import Precision, VisionPrecision
from edgevlm_export.exporter import export_bundle

from edgevlm.accuracy.quantisation import compare, steps
from edgevlm.accuracy.questions import QUESTIONS
from edgevlm.cli import main
from tests.conftest import GOLDEN

SENSITIVITY = "| error of rounding, by layer | q, k, v | attention out | MLP in | MLP out | head |"


def exported(folder: Path, precision: Precision, vision_precision: VisionPrecision) -> Path:
    export_bundle(
        checkpoint_folder(),
        folder,
        vision_tower=clip_folder(),
        precision=precision,
        vision_precision=vision_precision,
    )
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "vision", "least"), [("int8", "fp32", 0.99), ("int4", "fp32", 0.97), ("int8", "int8", 0.99)]
)
def test_the_demo_model_says_the_same(
    tmp_path: Path, precision: Precision, vision: VisionPrecision, least: float
) -> None:
    done: list[int] = []
    reference = exported(tmp_path / "fp32", "fp32", "fp32")
    [found] = compare(reference, [exported(tmp_path / "other", precision, vision)], done.append, pictures=16)
    assert (found.questions, sum(done)) == (16 * QUESTIONS, steps(1, 16))
    assert found.same_tokens >= least
    assert found.same_answers >= least - 0.03
    assert found.lowest_cosine > 0.999
    assert 0 < found.mean_divergence < 0.01
    assert found.mean_divergence <= found.largest_divergence


@pytest.mark.slow
def test_nothing_differs_from_itself(tmp_path: Path) -> None:
    folder = exported(tmp_path / "fp32", "fp32", "fp32")
    [found] = compare(folder, [folder], lambda count: None, pictures=4)
    np.testing.assert_allclose([found.lowest_cosine, found.mean_cosine], 1, atol=1e-6)
    assert (found.same_tokens, found.same_answers) == (1, 1)
    assert (found.mean_divergence, found.largest_divergence) == (0, 0)


@pytest.mark.slow
def test_bad_codes_are_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevlm_export.graph.quantise.CLIPS", {4: (0.05,), 8: (0.05,)})
    reference = exported(tmp_path / "fp32", "fp32", "fp32")
    [found] = compare(reference, [exported(tmp_path / "other", "int4", "fp32")], lambda count: None, pictures=4)
    assert found.same_tokens < 0.9
    assert found.mean_divergence > 0.1


@pytest.mark.slow
def test_the_command_exports_and_prints_the_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = GOLDEN / "v2"
    command = ["export", str(case / "checkpoint"), str(tmp_path / "b"), "--vision-tower", str(case / "clip")]
    assert main([*command, "--precision", "int4", "--vision-precision", "int8", "--report"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "int4, vision int8" in lines[0]
    assert lines[1] == "Calibrated: scales for 6 of 17 rounded matmuls."
    assert lines[2:4] == ["| beside fp32 | rounded to nearest | calibrated |", "|---|---|---|"]
    assert lines[11:14] == ["", SENSITIVITY, "|---|---|---|---|---|---|"]
    assert len(lines[14:]) == 2 + 2 + 1
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize("device", ["jetpack6", "jetpack7"])
def test_a_bundle_for_tensorrt_is_not_compared_here(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = GOLDEN / "v2"
    command = ["export", str(case / "checkpoint"), str(tmp_path / "b"), "--vision-tower", str(case / "clip")]
    assert main([*command, "--device", device, "--report"]) == 1
    assert capsys.readouterr().err == (
        f"edgevlm export: A bundle for {device} runs only on TensorRT, but --report compares on ONNX Runtime; leave "
        "out --report.\n"
    )
    assert not list(tmp_path.iterdir())
    assert main([*command, "--device", device]) == 0
    assert "fp16, vision fp16" in capsys.readouterr().out
