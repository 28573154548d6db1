"""ONNX Runtime keeps no identifier of this machine, which is the first thing that its telemetry does."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
from edgevlm_engines.version import version_numbers

SESSION = """
import sys, onnxruntime
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
"""


@pytest.mark.slow
@pytest.mark.parametrize("ours", [True, False])
def test_nothing_is_left_in_a_home_of_its_own(ours: bool, bundles: Callable[[str], Path], tmp_path: Path) -> None:
    """Without our package it does leave something: otherwise the other half of this test would say nothing."""
    # what marks a machine of a build service turns telemetry off as well
    environment = {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    code = f"import edgevlm_engines.ort.engine\n{SESSION}" if ours else SESSION
    subprocess.run([sys.executable, "-c", code, bundles("v2") / "vision.onnx"], env=environment, check=True)
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    # earlier ones know no telemetry
    knows_telemetry = version_numbers(onnxruntime.__version__) >= (1, 30)
    assert ("deviceid" in left) is (knows_telemetry and not ours)
    assert not (ours and left)
