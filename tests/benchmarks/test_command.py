"""How a benchmark ends: an exit code, and one sentence where something was wrong."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
from edgevlm_engines import EngineError

from benchmarks.command import run_command
from edgevlm.errors import CommandError


@pytest.fixture(autouse=True)
def own_handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("error", [CommandError("no server"), EngineError("no bundle"), OSError("no disk")])
def test_what_a_person_can_mend_is_one_sentence(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise error

    assert run_command(fail) == 1
    assert capsys.readouterr().err == f"{error}\n"


def test_a_process_that_failed_has_said_why(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        subprocess.run(["sh", "-c", "exit 7"], check=True)

    assert run_command(fail) == 7
    assert capsys.readouterr().err == ""


def test_sigterm_ends_what_the_work_has_opened() -> None:
    closed = []

    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            closed.append(True)

    with pytest.raises(SystemExit, match="143"):
        run_command(work)
    assert closed == [True]


def test_work_that_ends_well_is_no_error() -> None:
    assert run_command(lambda: None) == 0
