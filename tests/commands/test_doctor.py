"""`edgevlm doctor` as a process: what it prints, as text and as JSON, and how it ends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgevlm import cli
from tests.devices import ORIN_NANO_SUPER


def doctor(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgevlm", "doctor", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_on_this_machine(demo_model: Path) -> None:
    done = doctor(demo_model)
    assert (done.returncode, done.stderr) == (0, "")
    assert "CPUExecutionProvider" in done.stdout and "| edgevlm-demo | fp32 |" in done.stdout
    machine = json.loads(doctor("--json").stdout)
    assert machine["ok"] is True
    assert machine["survey"]["software"]["python"] == ".".join(map(str, sys.version_info[:3]))


def test_exit_code_and_json_of_a_machine_that_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    survey = ORIN_NANO_SUPER.survey(tmp_path)
    monkeypatch.setattr("edgevlm.doctor.survey.take_survey", lambda folder: survey)
    assert cli.main(["doctor", "--json"]) == cli.EXIT_FAILED
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is False and found["device"] == "jetpack6"
    assert [one["stops"] for one in found["advice"]] == [True, True, False, False, False, False]
    assert found["survey"]["power"]["active"]["name"] == "15W"


@pytest.mark.slow
def test_what_is_no_bundle_ends_with_a_sentence(tmp_path: Path) -> None:
    done = doctor(tmp_path)
    assert done.returncode == 78
    assert "is not a bundle" in done.stderr
