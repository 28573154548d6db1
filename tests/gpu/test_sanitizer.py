"""compute-sanitizer watches the append kernel and a model's answer for accesses to memory that is not theirs."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROW = "compute-sanitizer"

SECONDS = 60


def watched(what: str, rehearse: bool) -> None:
    tool = shutil.which("compute-sanitizer")
    if rehearse:
        pytest.skip("there is nothing to watch in a rehearsal")
    if tool is None:
        pytest.skip("compute-sanitizer is not on the PATH")
    # libraries ask for what may not be there, and go on: the product checks the calls of its own
    options = ["--tool", "memcheck", "--report-api-errors", "no", "--error-exitcode", "9"]
    command = [tool, *options, sys.executable, "-m", "tests.gpu.sanitized", what]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"not done after {SECONDS} s")
    assert process.returncode == 0, process.stdout[:2000] + process.stderr[-1000:]


def test_the_append_kernel(pytestconfig: pytest.Config) -> None:
    watched("append", pytestconfig.getoption("rehearse"))


def test_an_answer(split_bundle: Callable[[str], Path], pytestconfig: pytest.Config) -> None:
    """Of the graph that needs the append kernel."""
    watched(str(split_bundle("v2")), pytestconfig.getoption("rehearse"))
