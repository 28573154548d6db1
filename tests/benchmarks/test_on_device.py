"""The script for owners of a device, run on this machine with the smallest model; TensorRT's steps need a device."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from benchmarks.engine import JSON
from benchmarks.machine import ROOT

SCRIPT = ROOT / "benchmarks/on_device.sh"
STEPS = ["idle", "export-demo", "answers", "checkpoint", "export", "engine", "http"]
BUILDS = {"export-demo": "build-demo", "export": "build-model"}
"""On a Jetson, after which step."""

# a Python that does nothing but say what it was asked, and leave the files that the script reads
RECORDER = """#!/usr/bin/env bash
echo "$@" >>"$(dirname "$0")/asked"
case "$*" in
    *"doctor --json"*) echo '{"device": "jetpack6"}' ;;
    *"edgevlm export"*) mkdir -p "$5"; echo '{"max_length": 384}' >"$5/manifest.json" ;;
    *"edgevlm build"*) mkdir -p "$4.plans/key"; echo plan >"$4.plans/key/decoder.plan" ;;
    *"eval demo"*) exit 3 ;;
    -c*) exec python3 "$@" ;;
esac
"""


def run(*options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(SCRIPT), *map(str, options)], capture_output=True, text=True, timeout=900)


def steps(folder: Path) -> dict[str, dict[str, int]]:
    lines = (folder / "figures/steps.jsonl").read_text().splitlines()
    return {line["step"]: line for line in map(json.loads, lines)}


@pytest.mark.slow
def test_the_shell_finds_no_fault() -> None:
    checker = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([checker, SCRIPT], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_step_on_this_machine(tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ("--device", "cpu", "--shape", "tiny", "--quick", "--slots", 2, "--length", 512)
    done = run(*options, "--python", sys.executable, "--out", out)
    assert done.returncode == 0, done.stderr
    found = steps(out)
    assert list(found) == STEPS
    assert all(step["code"] == 0 and step["milliseconds"] > 0 for step in found.values())
    # a whole interpreter, and not the shell that waits for it
    assert found["export"]["resident_kb"] > 30_000
    with tarfile.open(f"{out}.tar.gz") as archive:
        names = {Path(name).name for name in archive.getnames()}
    assert {
        "doctor.json",
        "engine.json",
        "http.json",
        "steps.jsonl",
        "answers.txt",
        "power.txt",
        "commit.txt",
    } <= names
    assert not {"checkpoint", "bundle", "demo"} & names
    result = JSON.validate_json((out / "figures/engine.json").read_bytes())
    assert set(result.figures.decode) == {1, 2} and result.job.capacity == 512
    assert json.loads((out / "figures/doctor.json").read_text())["ok"] is True
    assert "| red zone |" in (out / "figures/answers.txt").read_text()


@pytest.mark.slow
def test_what_a_jetson_is_asked(tmp_path: Path) -> None:
    """The device is what doctor says; plans are built before they are used, and with the same shape."""
    python, out = tmp_path / "bin/python", tmp_path / "run"
    python.parent.mkdir()
    python.write_text(RECORDER)
    python.chmod(0o755)
    done = run("--quick", "--precision", "int8", "--slots", 6, "--length", 1024, "--python", python, "--out", out)
    # one step failed, and the others were run
    assert done.returncode == 1
    found = steps(out)
    expected = [name for step in STEPS for name in (step, BUILDS.get(step)) if name]
    assert list(found) == expected
    assert {name: step["code"] for name, step in found.items()} == {**dict.fromkeys(expected, 0), "answers": 3}
    asked = (python.parent / "asked").read_text().splitlines()
    assert f"-m edgevlm build {out}/demo --max-batch 8 --max-length 384" in asked
    assert f"-m edgevlm build {out}/bundle --max-batch 6 --max-length 1024" in asked
    [export] = [line for line in asked if f"{out}/bundle --device" in line]
    assert "--device jetpack6" in export and "--precision int8" in export
    [engine] = [line for line in asked if "benchmarks.engine" in line]
    assert "--slots 1,2,4,6 " in engine and "--max-length 1024" in engine
    assert "decoder.plan" in (out / "figures/sizes-model.txt").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--speed",), "there is no option --speed"),
        (("--slots",), "--slots needs a value"),
        (("--python", "/nowhere/python"), "there is no Python with edgevlm"),
        (("--python", sys.executable, "--out", str(ROOT)), "is there already"),
    ],
)
def test_mistakes_end_with_a_sentence(options: tuple[str, ...], said: str) -> None:
    done = run(*options)
    assert done.returncode == 2
    assert said in done.stderr


def test_help_names_every_option() -> None:
    text = run("--help").stdout
    for option in ("--device", "--shape", "--checkpoint", "--precision", "--slots", "--length", "--out", "--quick"):
        assert option in text
