"""The engine's benchmark on a Jetson's bundle, on stand-ins: that every call is made and told, not what it takes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from edgevlm_engines import read_manifest

from benchmarks import ceilings
from benchmarks.ceilings import module_ceilings
from benchmarks.engine import Result, report
from benchmarks.figures import Job, measure
from edgevlm.doctor.survey import Survey
from tests.devices import AGX_ORIN
from tests.tensorrt.jetsons import JETSONS
from tests.tensorrt.standin import installed
from tests.tensorrt.standin.plans import write_plans

LENGTH = 700


@pytest.mark.parametrize("device", JETSONS)
def test_a_bundle_for_a_jetson_is_measured(
    device: str, jetson_bundles: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = jetson_bundles("v2", device)
    job = Job(folder, threads=1, slots=(1, 2), past=20, steps=3, max_length=LENGTH)
    with installed(JETSONS[device]) as machine:
        write_plans(folder, max(job.slots), LENGTH)
        figures = measure(job)
        machine.check_released()
    assert {slots: len(steps.seconds) for slots, steps in figures.decode.items()} == {1: 3, 2: 3}
    survey = AGX_ORIN.survey(tmp_path)

    def surveyed(folder: Path) -> Survey:
        return survey

    monkeypatch.setattr(ceilings, "take_survey", surveyed)
    text = report(Result(job, figures, module_ceilings()), read_manifest(folder))
    assert f"for {device}: fp16, pictures fp16" in text
    # the memory's data sheet and its clock; nothing is multiplied on paper
    assert "the machine reads 204.74 GB/s (on paper)" in text
    assert "ceiling |\n" not in text.partition("Decode")[0]
