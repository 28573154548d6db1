"""`edgevlm verify`: each layer of a bundle beside fp32, and bundles that cannot be compared."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgevlm_engines import load_engine, open_bundle
from edgevlm_engines.bundle import TOKENIZER
from edgevlm_export.exporter import export_bundle
from edgevlm_server.text.tokenizer import Tokenizer

from edgevlm.accuracy.layers import Layer, layer_outputs, verify
from edgevlm.accuracy.questions import drawn_cases
from edgevlm.cli import main
from tests.conftest import GOLDEN
from tests.export.lora.adapters import drawn, write_adapter
from tests.prefill import prefill

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


@pytest.mark.slow
def test_fewer_bits_cost_more_and_only_where_they_are(tmp_path: Path) -> None:
    int8, int4 = (layers(exported(tmp_path / precision, precision)) for precision in ("int8", "int4"))
    assert int8["features"].error == 0
    assert 0 < int8["decoder layer 0"].error < int4["decoder layer 0"].error
    assert 1 > int8["logits"].cosine > int4["logits"].cosine > 0.5


@pytest.mark.slow
def test_half_precision_of_a_bundle_for_a_gpu_runs_too(tmp_path: Path) -> None:
    found = layers(exported(tmp_path / "cuda", "fp16", "fp16", "cuda"))
    assert all(0 < layer.error < 0.02 for layer in found.values())


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_adapter_is_merged_into_the_reference_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adapter = write_adapter(tmp_path / "adapter", drawn())
    bundle, given = tmp_path / "bundle", (V2 / "checkpoint", V2 / "clip")
    export_bundle(given[0], bundle, vision_tower=given[1], lora=[(adapter, 0.5)])
    assert all(layer.error == 0 for layer in verify(bundle, *given, [(adapter, 0.5)], 1))
    command = ["verify", str(bundle), "--checkpoint", str(given[0]), "--vision-tower", str(given[1])]
    for options in ([], ["--lora", str(adapter)], ["--lora", f"{adapter}:0.5", "--lora", f"{adapter}:0.5"]):
        assert main([*command, *options]) == 1
        assert "was not made from checkpoint (" in (said := capsys.readouterr().err)
        assert ", adapter:0.5 (" in said.partition("its manifest names")[2]


@pytest.mark.slow
def test_a_checkpoint_may_have_been_renamed(tmp_path: Path) -> None:
    bundle = exported(tmp_path / "bundle", "fp32")
    moved = shutil.copytree(V2 / "checkpoint", tmp_path / "moved")
    assert all(layer.error == 0 for layer in verify(bundle, moved, V2 / "clip", pictures=1))


@pytest.mark.slow
def test_the_files_may_be_links_to_another_disk(
    tmp_path: Path, bundles: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(source: object, target: object, **how: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    # not every machine has a second disk: all that the first one allows and two do not is refused
    monkeypatch.setattr("os.link", refused)
    linked = tmp_path / "linked"
    linked.mkdir()
    for path in bundles("v2").iterdir():
        (linked / path.name).symlink_to(path)
    assert all(layer.error == 0 for layer in layers(linked).values())
    assert list(tmp_path.iterdir()) == [linked]


def test_a_folder_that_cannot_be_written_is_a_sentence(
    tmp_path: Path,
    bundles: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(**where: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    # the tests may run as root, who may write anywhere
    monkeypatch.setattr("edgevlm_export.unfinished.tempfile.mkdtemp", refused)
    bundle = bundles("v2")
    given = ["--checkpoint", str(V2 / "checkpoint"), "--vision-tower", str(V2 / "clip")]
    assert main(["verify", str(bundle), *given]) == 1
    assert f"{bundle.parent} cannot be written: Permission denied." in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["int4", "int8"])
def test_rounded_layers_compute_as_in_serving(tmp_path: Path, precision: str) -> None:
    bundle = exported(tmp_path / "bundle", precision, "int8")
    opened = open_bundle(bundle)
    case = next(drawn_cases(opened.manifest, Tokenizer(bundle / TOKENIZER), 1, 1))
    engine = load_engine("ort", opened, slots=1, max_length=400)
    features = engine.encode_images(case.pixels[np.newaxis])[0]
    served = prefill(engine, 0, case.tokens, features)
    engine.close()
    (outputs,) = layer_outputs(bundle, opened.manifest, [case])
    np.testing.assert_allclose(outputs["features"][0], features, atol=1e-5)
    np.testing.assert_allclose(outputs["logits"].ravel(), served, atol=1e-4)


def test_another_checkpoint_and_another_runtime_are_refused(
    tmp_path: Path, bundles: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, clip = (str(GOLDEN / "v2-headdim80-bf16" / name) for name in ("checkpoint", "clip"))
    assert main(["verify", str(bundles("v2")), "--checkpoint", checkpoint, "--vision-tower", clip]) == 1
    assert "was not made from" in capsys.readouterr().err
    bundle = exported(tmp_path / "orin", "fp16", "fp16", "jetpack6")
    assert main(["verify", str(bundle), "--checkpoint", str(V2 / "checkpoint")]) == 1
    assert "runs only on TensorRT" in capsys.readouterr().err
