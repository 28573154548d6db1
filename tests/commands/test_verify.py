"""`edgevlm verify`: each layer of a bundle beside fp32, and bundles that cannot be compared."""

from collections.abc import Callable
from pathlib import Path

import pytest
from edgevlm_export.exporter import export_bundle

from edgevlm.cli import main
from edgevlm.layers import Layer, verify
from tests.conftest import GOLDEN

V2 = GOLDEN / "v2"


def exported(folder: Path, precision: str, vision_precision: str = "fp32", device: str = "cpu") -> Path:
    export_bundle(
        V2 / "checkpoint",
        folder,
        vision_tower=V2 / "clip",
        device=device,  # type: ignore[arg-type]
        precision=precision,  # type: ignore[arg-type]
        vision_precision=vision_precision,  # type: ignore[arg-type]
    )
    return folder


def layers(bundle: Path) -> dict[str, Layer]:
    return {layer.name: layer for layer in verify(bundle, V2 / "checkpoint", V2 / "clip", pictures=2)}


def test_every_layer_is_there_and_fp32_costs_nothing(bundles: Callable[[str], Path]) -> None:
    found = layers(bundles("v2"))
    assert list(found) == [
        *("vision layer 0", "vision layer 1", "features", "decoder layer 0", "decoder layer 1", "logits"),
    ]
    assert all(layer.error == 0 for layer in found.values())


def test_fewer_bits_cost_more_and_only_where_they_are(tmp_path: Path) -> None:
    int8, int4 = (layers(exported(tmp_path / precision, precision)) for precision in ("int8", "int4"))
    assert int8["features"].error == 0
    assert 0 < int8["decoder layer 0"].error < int4["decoder layer 0"].error
    assert 1 > int8["logits"].cosine > int4["logits"].cosine > 0.5


def test_half_precision_of_a_bundle_for_a_gpu_runs_too(tmp_path: Path) -> None:
    found = layers(exported(tmp_path / "cuda", "fp16", "fp16", "cuda"))
    assert all(0 < layer.error < 0.02 for layer in found.values())


def test_the_command_prints_a_line_for_each_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = exported(tmp_path / "int8", "int8", "int8")
    given = ["--checkpoint", str(V2 / "checkpoint"), "--vision-tower", str(V2 / "clip")]
    assert main(["verify", str(bundle), *given]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    assert lines[1].startswith("vision layer 0")
    assert list(tmp_path.iterdir()) == [bundle]


def test_another_checkpoint_and_another_runtime_are_refused(
    tmp_path: Path, bundles: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    other = str(GOLDEN / "v2-headdim80-bf16" / "checkpoint")
    assert main(["verify", str(bundles("v2")), "--checkpoint", other]) == 1
    assert "was not made from" in capsys.readouterr().err
    bundle = exported(tmp_path / "orin", "fp16", "fp16", "jetpack6")
    assert main(["verify", str(bundle), "--checkpoint", str(V2 / "checkpoint")]) == 1
    assert "runs only on TensorRT" in capsys.readouterr().err
