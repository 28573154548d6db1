"""TensorRT-RTX's compiled kernels beside its plans: found at the next start, and never in the way. On stand-ins."""

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from edgevlm_engines.plan_cache import DECODER_PLAN, VISION_PLAN

from tests.prefill import prefill
from tests.tensorrt.bench import Bench, decode, text
from tests.tensorrt.jetsons import RTX
from tests.tensorrt.standin import installed

pytestmark = pytest.mark.skipif(not RTX, reason="ONNX Runtime here does not load the graphs")

FILES = [Path(name).with_suffix(".kernels").name for name in (DECODER_PLAN, VISION_PLAN)]


@pytest.fixture
def bench(device_bundles: Callable[[str, str], Path], tmp_path: Path) -> Iterator[Bench]:
    with installed(RTX["rtx"]) as machine:
        bench = Bench(machine, device_bundles("v2", "rtx"), tmp_path / "plans")
        yield bench
        for engine in bench.engines:
            engine.close()
        bench.engines.clear()
        machine.check_released()


def start(bench: Bench) -> int:
    """Load, use and close an engine; how many kernels were compiled for it."""
    bench.forget()
    engine = bench.load()
    prefill(engine, 0, text(30))
    assert np.isfinite(decode(engine, 30)).all()
    engine.close()
    return len(bench.machine.named("compile"))


def test_what_was_compiled_is_there_at_the_next_start(bench: Bench) -> None:
    assert [start(bench), start(bench)] == [2, 0]
    assert sorted(path.name for path in bench.plans.iterdir()) == sorted(
        [*FILES, DECODER_PLAN, VISION_PLAN, "plan.json"]
    )


def test_it_is_kept_as_soon_as_a_plan_is_loaded(bench: Bench) -> None:
    """A process that is killed has paid for it too."""
    bench.load()
    assert all((bench.plans / name).is_file() for name in FILES)


def test_what_is_compiled_at_the_first_step_is_kept_then(bench: Bench) -> None:
    engine = bench.load()
    before = (bench.plans / FILES[0]).read_bytes()
    caches = bench.machine.caches
    for cache in caches:
        cache.kernels.append("late")
    prefill(engine, 0, text(30))
    decode(engine, 30)
    first = (bench.plans / FILES[0]).read_bytes()
    assert first != before and b"late" in first


@pytest.mark.parametrize("damage", ["cut", "changed", "foreign", "empty", "another plan's"])
def test_what_cannot_be_used_is_compiled_again_with_a_line_in_the_log(
    bench: Bench, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    start(bench)
    path = bench.plans / FILES[0]
    good = path.read_bytes()
    path.write_bytes(
        {
            "cut": good[:-3],
            "changed": good[:-1] + b"!",
            "foreign": b"\x00" * 500,
            "empty": b"",
            "another plan's": (bench.plans / FILES[1]).read_bytes(),
        }[damage]
    )
    with caplog.at_level(logging.INFO):
        assert start(bench) == 1
    assert len(bench.machine.named("IRuntimeCache.deserialize")) == 1, "its own reader is not shown any damage"
    assert f"{path} cannot be used here, and kernels are compiled again." in caplog.text
    assert path.read_bytes() == good


@pytest.mark.slow
def test_what_another_version_compiled_is_refused_by_the_library_and_replaced(bench: Bench) -> None:
    start(bench)
    bench.machine.refuse.add("IRuntimeCache.deserialize")
    assert start(bench) == 2
    bench.machine.refuse.clear()
    assert start(bench) == 0


def test_what_was_compiled_for_other_plans_is_not_used(bench: Bench) -> None:
    start(bench)
    other = bench.build(2)
    for name in FILES:
        shutil.copy(bench.plans / name, other / name)
    bench.forget()
    bench.load(slots=2)
    assert len(bench.machine.named("compile")) == 2


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with caplog.at_level(logging.INFO):
        assert start(bench) == 2
    assert "Compiled kernels cannot be kept in" in caplog.text
    assert not [path for path in bench.plans.iterdir() if "kernels" in path.name]
