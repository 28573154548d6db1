"""The checks that need a GPU, rehearsed: they find what they name, and a crash costs one of them."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gpu import report
from tests.gpu.__main__ import Part, Run, main
from tests.gpu.plugin import BEGAN, write
from tests.tensorrt.environments import ROOT


@pytest.mark.slow
def test_they_run_on_stand_ins(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.gpu", "--rehearse", "--columns", "split", "--out", str(tmp_path / "out")]
    chosen = "cuda_layer or memory or sanitizer or (v2 and no and graphs and not headdim80)"
    process = subprocess.run([*command, "-k", chosen], cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr
    checks = json.loads((tmp_path / "out" / "report.json").read_text())["checks"]
    assert {check["row"] for check in checks if check["outcome"] == "passed"} == {
        *("CUDA layer", "engine contract", "golden cases", "same bits", "device memory")
    }
    assert (tmp_path / "out" / "report.md").read_text() == process.stdout


def test_behind_a_crash_another_process_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for processes: one dies in its second check, one at its end, one finds nothing left to do."""
    ends = iter([(["one"], "two", -11), (["three"], None, -6), ([], None, 5)])

    def process(run: Run, part: Part, log: Path) -> int:
        done, open_at_end, code = next(ends)
        base: report.Line = {"row": "engine contract", "column": part.column, "text": "", "notes": []}
        for name in done:
            write(log, {**base, "test": name, "outcome": BEGAN})
            write(log, {**base, "test": name, "outcome": "passed"})
        if open_at_end:
            write(log, {**base, "test": open_at_end, "outcome": BEGAN})
        log.with_suffix(".txt").write_text("Segmentation fault\n")
        return code

    monkeypatch.setattr(Run, "_process", process)
    run = Run(tmp_path, tmp_path, argparse.Namespace(rehearse=True, k=None, seconds=60))
    checks = run.check(Part(("contract",), "native"))
    assert {check["test"]: check["outcome"] for check in checks} == {
        "one": "passed",
        "two": report.CRASHED,
        "three": "passed",
        "the process ended after three": report.CRASHED,
    }
    assert checks[1]["text"] == "exit status -11\nSegmentation fault"


def test_a_crash_is_told_and_counts_as_a_failure() -> None:
    base = {"row": "engine contract", "column": "native", "seconds": 1, "notes": [], "text": ""}
    lines = [
        {**base, "test": "a::one", "outcome": "began"},
        {**base, "test": "a::one", "outcome": "passed"},
        {**base, "test": "a::two", "outcome": "began"},
        {**base, "test": "a::two", "outcome": report.CRASHED, "text": "Segmentation fault"},
    ]
    text = report.text({"device": "some"}, report.results(lines), 3)
    assert "| engine contract | - | 1 of 2, 1 crashed | - | 1 FAILED | 2 |" in text
    assert "CRASHED trt native, two\nSegmentation fault" in text


def test_without_a_gpu_one_line_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("tests.gpu.__main__.has_gpu", lambda: False)
    monkeypatch.setattr(sys, "argv", ["tests.gpu"])
    assert main() == 0
    assert capsys.readouterr().out == "No NVIDIA GPU here: nothing was checked.\n"
