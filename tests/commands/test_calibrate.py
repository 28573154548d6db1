"""`edgevlm export --calibrate`: on the user's pictures, and on a model with outliers, beside rounding to nearest."""

import json
from pathlib import Path

import numpy as np
import pytest
from edgevlm_demo import checkpoint_folder, clip_folder
from edgevlm_demo.scenes import SCENES, draw_scene
from edgevlm_engines import load_engine, open_bundle, read_manifest
from edgevlm_export.model_source import open_model
from edgevlm_server.text.tokenizer import Tokenizer

from edgevlm.accuracy.activations import record
from edgevlm.accuracy.questions import FIRST_DRAWING, Questions, drawn_cases, read_questions
from edgevlm.cli import EXIT_FAILED, main
from edgevlm.errors import CommandError
from tests.conftest import GOLDEN
from tests.export.calibrate.outliers import STUCK, with_outliers
from tests.prefill import prefill


def own_folder(folder: Path, pictures: int = 3) -> Path:
    """Pictures with two questions each, as a user would lay them out."""
    folder.mkdir()
    lines = []
    for number in range(pictures):
        scene = draw_scene(SCENES[number], number)
        scene.image.save(folder / f"{number}.png")
        lines += [json.dumps({"image": f"{number}.png", "text": q.text}) for q in scene.questions[:2]]
    (folder / "questions.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def export(checkpoint: Path, bundle: Path, *options: str) -> int:
    command = ["export", str(checkpoint), str(bundle), "--vision-tower", str(clip_folder())]
    return main([*command, "--precision", "int4", "--vision-precision", "int8", *options])


@pytest.mark.slow
def test_activations_are_those_that_the_engine_computes_with(demo_model: Path) -> None:
    manifest = read_manifest(demo_model)
    cases = list(drawn_cases(manifest, Tokenizer(demo_model / "tokenizer.model"), FIRST_DRAWING, 2))
    done: list[int] = []
    inputs = record(demo_model, Questions(iter(cases), len(cases), 2), done.append)
    assert len(done) == len(cases) == 4
    engine = load_engine("ort", open_bundle(demo_model), slots=1, max_length=400)
    head = open_model(checkpoint_folder(), clip_folder()).weights.stored("lm_head.weight").read()
    for row, case in zip(inputs["lm_head.weight"].rows, cases, strict=True):
        features = engine.encode_images(case.pixels[np.newaxis])[0]
        np.testing.assert_allclose(row @ head.T, prefill(engine, 0, case.tokens, features), atol=1e-3)
    engine.close()
    for found in inputs.values():
        assert (found.low <= found.rows.min(axis=0)).all()
        assert (found.high >= found.rows.max(axis=0)).all()


@pytest.mark.slow
def test_outliers_are_survived(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scales take away the ones that can be folded; the matmul behind the GELU is named and not rounded."""
    checkpoint = with_outliers(tmp_path / "heavy")
    mine = own_folder(tmp_path / "mine")
    assert export(checkpoint, tmp_path / "b", "--calibrate", str(mine), "--report") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == (
        "Calibrated: scales for 24 of 29 rounded matmuls; not rounded, because too little would be left of them: "
        f"{STUCK}fc2.weight."
    )
    rows = ([cell.strip() for cell in line.split("|")] for line in lines[2:11])
    table = {row[1]: row[2:-1] for row in rows}
    assert table["beside fp32"] == ["rounded to nearest", "calibrated"]
    nearest, calibrated = (float(value) for value in table["cosine of image features, lowest"])
    assert nearest < 0.95
    assert calibrated > 0.999
    nearest, calibrated = (float(value) for value in table["Kullback-Leibler divergence, mean"])
    assert calibrated < 0.01 * nearest
    layer = next(line for line in lines if line.startswith("| vision encoder 1 |"))
    assert layer.count("→") == 3
    assert layer.rstrip(" |").endswith(", kept")
    assert {path.name for path in tmp_path.iterdir()} == {"heavy", "mine", "b"}


@pytest.mark.slow
def test_an_encoder_in_int8_survives_without_being_asked_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(with_outliers(tmp_path / "heavy"), tmp_path / "b") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == (
        "Calibrated: scales for 12 of 16 rounded matmuls; not rounded, because too little would be left of them: "
        f"{STUCK}fc2.weight."
    )
    assert {path.name for path in tmp_path.iterdir()} == {"heavy", "b"}


@pytest.mark.slow
def test_a_report_is_of_the_bundle_that_is_made_without_one(tmp_path: Path) -> None:
    checkpoint = with_outliers(tmp_path / "heavy")
    assert export(checkpoint, tmp_path / "plain") == 0
    assert export(checkpoint, tmp_path / "reported", "--report") == 0
    plain, reported = (read_manifest(tmp_path / name) for name in ("plain", "reported"))
    assert plain == reported


@pytest.mark.slow
@pytest.mark.parametrize("device", ["jetpack6", "jetpack7"])
def test_bundles_for_tensorrt_are_calibrated_too(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = GOLDEN / "v1"
    command = ["export", str(case / "checkpoint"), str(tmp_path / "b"), "--vision-tower", str(case / "clip")]
    mine = own_folder(tmp_path / "mine", 1)
    options = ["--device", device, "--precision", "int8", "--calibrate", str(mine), "--keep-fp16", "lm_head.weight"]
    assert main([*command, *options]) == 0
    printed = capsys.readouterr().out
    assert "int8, vision fp16" in printed
    assert "of 9 rounded matmuls." in printed


def test_what_would_do_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["export", str(checkpoint_folder()), str(tmp_path / "b"), "--vision-tower", str(clip_folder())]
    assert main([*command, "--precision", "fp32", "--calibrate", "drawings"]) == EXIT_FAILED
    assert "Nothing is rounded in fp32 with vision fp32" in capsys.readouterr().err
    assert main([*command, "--device", "jetpack6", "--vision-precision", "int8"]) == EXIT_FAILED
    assert "can have vision precision fp16 or fp32, not int8" in capsys.readouterr().err
    assert export(checkpoint_folder(), tmp_path / "b", "--calibrate", "drawings", "--keep-fp16", "x") == EXIT_FAILED
    captured = capsys.readouterr()
    assert "--keep-fp16 x matches no matmul" in captured.err
    assert "Recording" not in captured.err
    (tmp_path / "b").mkdir()
    assert export(checkpoint_folder(), tmp_path / "b", "--calibrate", "drawings") == EXIT_FAILED
    assert "already exists" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"questions\.jsonl cannot be read"),
        ("\n", "holds no questions"),
        ("not json\n", r"questions\.jsonl, line 1: "),
        ('{"image": "a.png", "text": "What?"}\n{"image": 3, "text": "x"}\n', r"line 2: "),
        ('{"image": "a.png", "text": " "}\n', r"line 1: "),
        ('{"image": "a.png", "text": "x"}\n{"image": "b.png", "text": "x"}\n', r"line 2: there is no file .*b\.png"),
    ],
)
def test_a_wrong_file_of_questions_is_named(tmp_path: Path, content: str | None, sentence: str) -> None:
    (tmp_path / "a.png").touch()
    if content is not None:
        (tmp_path / "questions.jsonl").write_text(content)
    with pytest.raises(CommandError, match=sentence):
        read_questions(tmp_path)


def test_only_a_line_feed_ends_a_question(tmp_path: Path) -> None:
    texts = ["What\u2028is it?", "And\x85this?"]
    lines = [json.dumps({"image": "a.png", "text": text}, ensure_ascii=False) for text in texts]
    (tmp_path / "a.png").touch()
    (tmp_path / "questions.jsonl").write_text("\ufeff" + "\r\n".join([*lines, "  "]), encoding="utf-8")
    assert [question.text for question in read_questions(tmp_path)] == texts


@pytest.mark.parametrize(("picture", "sentence"), [(None, "there is no file"), (b"no picture", "0.png: ")])
def test_a_picture_that_cannot_be_used_is_named(
    tmp_path: Path, picture: bytes | None, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = own_folder(tmp_path / "mine", 1)
    (mine / "0.png").unlink()
    if picture is not None:
        (mine / "0.png").write_bytes(picture)
    assert export(checkpoint_folder(), tmp_path / "b", "--calibrate", str(mine)) == EXIT_FAILED
    assert sentence in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
