"""`edgevlm export --if-absent`, for those who start it again and again: nothing is made twice, nor passed over."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from edgevlm_engines import read_manifest
from edgevlm_server.exit_codes import EXIT_CANNOT_START

from edgevlm.cli import EXIT_FAILED, main
from tests.conftest import GOLDEN


def export(bundle: Path, *options: str) -> int:
    checkpoint, clip = (str(GOLDEN / "v2" / name) for name in ("checkpoint", "clip"))
    return main(["export", checkpoint, str(bundle), "--vision-tower", clip, "--name", "once", *options])


def test_a_whole_bundle_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = tmp_path / "bundle"
    assert export(bundle, "--if-absent") == 0
    before = {path.name: path.stat().st_mtime_ns for path in bundle.iterdir()}
    capsys.readouterr()
    assert export(bundle, "--if-absent") == 0
    assert {path.name: path.stat().st_mtime_ns for path in bundle.iterdir()} == before
    assert capsys.readouterr().out == f"{bundle}: once already exists\n"
    assert export(bundle) == EXIT_FAILED


def test_what_is_said_of_the_model_may_come_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = tmp_path / "about.json"
    about.write_text('{"description": "gauges"}')
    assert export(tmp_path / "bundle", "--about", str(about)) == 0
    assert read_manifest(tmp_path / "bundle").about.description == "gauges"
    about.write_text('{"descripton": "gauges"}')
    assert (
        export(tmp_path / "other", "--about", str(about), "--calibrate", "drawings", "--precision", "int8")
        == EXIT_FAILED
    )
    assert "about.json cannot be used: descripton" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_what_is_there_and_not_whole_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = tmp_path / "bundle"
    assert export(bundle) == 0
    (bundle / "decoder.onnx").write_bytes(b"")
    assert export(bundle, "--if-absent") == EXIT_CANNOT_START
    assert "decoder.onnx" in capsys.readouterr().err


@pytest.mark.slow
def test_folders_may_have_names_that_are_no_text(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    checkpoint = shutil.copytree(GOLDEN / "v2" / "checkpoint", tmp_path / os.fsdecode(b"caf\xe9"))
    bundle = tmp_path / os.fsdecode(b"b\xff")
    command = [sys.executable, "-m", "edgevlm"]
    clip = GOLDEN / "v2" / "clip"
    subprocess.run([*command, "export", checkpoint, bundle, "--vision-tower", clip], check=True)
    assert read_manifest(bundle).model == "caf\ufffd"
    subprocess.run([*command, "ask", "--model", bundle, "--max-tokens", "1", "hello"], check=True)
    out, err = capfd.readouterr()
    assert "b\\udcff: caf" in out
    assert "Traceback" not in err
