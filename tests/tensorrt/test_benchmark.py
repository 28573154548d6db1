"""The engine's benchmark on a Jetson's bundle, on stand-ins: that every call is made and told, not what it takes."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from edgevlm_engines import read_manifest

from benchmarks import ceilings, gpu
from benchmarks.ceilings import Ceilings, gpu_ceilings
from benchmarks.engine import Result, report
from benchmarks.figures import Job, measure
from edgevlm.doctor.survey import Survey
from tests.devices import AGX_ORIN
from tests.tensorrt.jetsons import JETSONS
from tests.tensorrt.standin import installed
from tests.tensorrt.standin.plans import write_plans

LENGTH = 700


@pytest.mark.slow
@pytest.mark.parametrize("device", JETSONS)
def test_a_bundle_for_a_jetson_is_measured(
    device: str, device_bundles: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = device_bundles("v2", device)
    job = Job(folder, threads=1, slots=(1, 2), past=20, steps=3, max_length=LENGTH)
    with installed(JETSONS[device]) as machine:
        write_plans(folder, max(job.slots), LENGTH)
        figures = measure(job)
        machine.check_released()
        limits = _limits(tmp_path, monkeypatch)
        machine.check_released()
    assert {slots: len(steps.seconds) for slots, steps in figures.decode.items()} == {1: 3, 2: 3}
    text = report(Result(job, figures, limits), read_manifest(folder))
    assert f"for {device}: fp16, pictures fp16" in text
    # the kernel's own rate, and the memory's data sheet and its clock beside it
    assert re.search(r"the machine reads \d+\.\d\d GB/s \(204\.74 GB/s on paper\)$", text, re.MULTILINE)
    assert "ceiling |\n" not in text.partition("Decode")[0]
    assert re.search(r"^\| GPU memory after start \| \d+\.\d\d GB \| ", text, re.MULTILINE)
    assert figures.device_memory


def _limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ceilings:
    """Of an AGX Orin whose memory is the stand-in's; this ONNX Runtime multiplies on no GPU."""
    survey = AGX_ORIN.survey(tmp_path)

    def surveyed(folder: Path) -> Survey:
        return survey

    monkeypatch.setattr(ceilings, "take_survey", surveyed)
    monkeypatch.setattr(gpu, "BLOCKS", 2)
    monkeypatch.setattr(gpu, "READ_BYTES", 1 << 20)
    return gpu_ceilings()
