"""Random checkpoints of the published layout: tensors and sizes as on the hub, and read as the real ones would be."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from edgevlm_export.bundle_writer import Progress
from edgevlm_export.checkpoint.checkpoint import as_float16, open_checkpoint, vision_checkpoint
from edgevlm_export.checkpoint.config import load_config
from edgevlm_export.checkpoint.input_config import tokenizer_is_legacy

from benchmarks import shapes_run
from benchmarks.published import PUBLISHED, write_published
from benchmarks.random_tensors import draw
from benchmarks.shapes import SHAPES

TINY = {name: model._replace(shape=SHAPES["tiny"]) for name, model in PUBLISHED.items()}


@pytest.mark.parametrize(
    ("name", "tensors", "gigabytes"),
    [
        ("MobileVLM-1.7B", 634, 3.373),
        ("MobileVLM-3B", 706, 6.068),
        ("MobileVLM_V2-1.7B", 616, 3.348),
        ("MobileVLM_V2-3B", 688, 6.029),
        ("MobileVLM_V2-7B", 720, 14.126),
    ],
)
def test_tensors_and_sizes_are_the_published_ones(name: str, tensors: int, gigabytes: float) -> None:
    model = PUBLISHED[name]
    assert len({tensor.name for tensor in model.tensors()}) == tensors
    assert model.size() / 1e9 == pytest.approx(gigabytes, abs=0.001)


@pytest.fixture(params=TINY)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_small_one_has_the_published_files(name: str, tmp_path: Path) -> None:
    clip = write_published(TINY[name], tmp_path / name, Progress())
    weights = {"pytorch_model.bin"}
    if name == "MobileVLM_V2-7B":
        shards = {f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)}
        weights = shards | {"pytorch_model.bin.index.json"}
    others = {"config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.model"}
    assert {path.name for path in (tmp_path / name).iterdir()} == others | weights
    assert (clip / "pytorch_model.bin").exists() == ("V2" not in name)


def test_its_configuration_is_read(name: str, tmp_path: Path) -> None:
    clip = write_published(TINY[name], tmp_path / name, Progress())
    config = load_config(tmp_path / name, clip)
    assert config.projector == ("ldpnetv2" if "V2" in name else "ldpnet")
    # 3B's `n_head` would be 16, 7B's positions 4096
    assert (config.heads, config.max_length) == (2, 2048)
    assert config.rms_norm_eps == (1e-5 if "-7B" in name else 1e-6)
    assert tokenizer_is_legacy(tmp_path / name) == ("-7B" not in name)
    stated = json.loads((tmp_path / name / "config.json").read_text())
    assert ("n_head" in stated) == ("3B" in name)
    assert ("max_sequence_length" in stated) == ("1.7B" in name)


def test_its_tensors_are_read(name: str, tmp_path: Path) -> None:
    model = TINY[name]
    clip = write_published(model, tmp_path / name, Progress(), seed=3)
    checkpoint = open_checkpoint(tmp_path / name)
    assert any("inv_freq" in skipped for skipped in checkpoint.skipped) == model.stale
    for tensor in model.tensors()[::7]:
        if tensor.name not in checkpoint.skipped:
            source = checkpoint.take(tensor.name, tensor.shape)
            assert source.dtype.name == "bfloat16"
            np.testing.assert_array_equal(as_float16(source), draw(tensor, 3, source.dtype).astype(np.float16))
    if model.projector == "ldpnet":
        tower = vision_checkpoint(clip)
        assert {"logit_scale", "text_projection.weight"} <= tower.skipped.keys()
        assert tower.take("vision_model.post_layernorm.bias", (64,)).dtype == np.float32


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["shapes_run", *arguments])
    monkeypatch.setattr(shapes_run, "PUBLISHED", TINY)
    shapes_run.main()


@pytest.mark.slow
def test_all_five_are_exported_and_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["--work", str(tmp_path), "--precisions", "int4"], monkeypatch)
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if "Mobile" in line]
    assert [line[0] for line in lines] == list(PUBLISHED)
    assert all(line[2:4] == ["cpu", "int4"] for line in lines)
    assert all("tokens" in line[10] for line in lines), lines
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_layers_and_devices_can_be_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ["--models", "MobileVLM-3B", "--layers", "1,3", "--devices", "jetpack6", "--precisions", "int8"]
    run(["--work", str(tmp_path), *chosen], monkeypatch)
    out = capsys.readouterr().out
    assert "| MobileVLM-3B | 1 | jetpack6 | int8 | fp16 |" in out
    assert "| MobileVLM-3B | 3 | jetpack6 | int8 | fp16 |" in out
    assert out.count("runs on TensorRT alone") == 2


def test_what_does_not_fit_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    run(["--work", str(tmp_path)], monkeypatch)
    out = capsys.readouterr().out
    assert out.count("not run: needs") == 5
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_fails_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = TINY["MobileVLM_V2-3B"]
    config = broken.config | {"hidden_act": "gelu"}
    monkeypatch.setitem(TINY, "MobileVLM_V2-3B", broken._replace(config=config))
    run(["--work", str(tmp_path), "--models", "MobileVLM_V2-3B", "--precisions", "int8"], monkeypatch)
    assert 'hidden_act is "gelu", but only "silu" is supported' in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_unknown_names_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit):
        run(["--work", str(tmp_path), "--models", "MobileVLM-9B"], monkeypatch)


def test_every_precision_is_among_the_kinds() -> None:
    chosen = shapes_run.kinds(["cpu", "jetpack7"], ["fp32", "fp16", "int8", "int4"])
    assert [tuple(kind) for kind in chosen] == [
        ("cpu", "fp32", "fp32"),
        ("cpu", "fp16", "fp16"),
        ("cpu", "int8", "int8"),
        ("cpu", "int4", "int8"),
        ("jetpack7", "fp16", "fp16"),
        ("jetpack7", "int8", "fp16"),
        ("jetpack7", "int4", "fp16"),
    ]
