"""`edgevlm build`, and a server's first start: from a bundle to plans that are found again, on stand-ins."""

import logging
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from edgevlm_engines import EngineLoadError, open_bundle
from edgevlm_engines.plan_cache import PlanFiles, open_plans, plan_shape
from edgevlm_engines.trt.target import this_target
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings

from edgevlm.cli import main
from edgevlm.plans import ensure_plans
from tests.live import LiveServer
from tests.tensorrt.jetsons import ALL
from tests.tensorrt.standin import Machine, installed

SLOTS, LENGTH = 2, 500
OPTIONS = ["--max-batch", str(SLOTS), "--max-length", str(LENGTH)]


class Jetson(NamedTuple):
    """A machine, and a copy of a bundle that was made for it; its plans go beside the copy."""

    machine: Machine
    bundle: Path

    @property
    def plans(self) -> Path:
        return self.bundle.with_name("bundle.plans")

    def builds(self) -> int:
        """How often TensorRT has built a plan."""
        return len(self.machine.named("build_serialized_network"))

    def opened(self, folder: Path | None = None) -> PlanFiles:
        return open_plans(folder or self.plans, open_bundle(self.bundle), plan_shape(SLOTS, LENGTH), this_target())


@pytest.fixture(params=ALL)
def jetson(
    request: pytest.FixtureRequest, device_bundles: Callable[[str, str], Path], tmp_path: Path
) -> Iterator[Jetson]:
    with installed(ALL[request.param]) as machine:
        yield Jetson(machine, shutil.copytree(device_bundles("v2", request.param), tmp_path / "bundle"))
        machine.check_released()


def build(jetson: Jetson, *options: str) -> int:
    return main(["build", str(jetson.bundle), *OPTIONS, *options])


def test_it_builds_both_plans_and_finds_them_again(jetson: Jetson, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(jetson) == 0
    assert jetson.builds() == 2
    line = capsys.readouterr().out
    assert f"2 slots of 512 positions on Stand-in Orin, {jetson.machine.software}" in line
    assert jetson.opened().decoder.parent.parent == jetson.plans
    assert sorted(path.name for path in jetson.plans.iterdir() if not path.is_dir()) == ["lock", "timing.cache"]
    assert build(jetson) == 0
    assert jetson.builds() == 2


def test_settings_of_the_server_alone_do_not_concern_it(jetson: Jetson, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container, where the server listens on every address."""
    monkeypatch.setenv("EDGEVLM_HOST", "0.0.0.0")
    assert build(jetson) == 0


def test_the_plans_run(jetson: Jetson) -> None:
    assert build(jetson) == 0
    model = load_model(jetson.bundle, Settings(max_batch=SLOTS, max_length=LENGTH))
    assert model.engine.info.name == "trt"
    model.engine.close()


def test_options_of_the_build_reach_it(jetson: Jetson, tmp_path: Path) -> None:
    assert build(jetson, "--plans", str(tmp_path / "other"), "--level", "1", "--workspace", "12M") == 0
    assert jetson.opened(tmp_path / "other")
    assert not jetson.plans.exists()
    details = jetson.machine.named("build_serialized_network")[0]
    assert details["level"] == 1
    assert {pool.name: size for pool, size in details["pools"].items()}["WORKSPACE"] == 12 * 2**20


def test_another_shape_is_built_beside_the_first(jetson: Jetson) -> None:
    assert build(jetson) == 0
    assert main(["build", str(jetson.bundle), "--max-batch", "3", "--max-length", str(LENGTH)]) == 0
    assert jetson.builds() == 4
    assert jetson.opened()


def test_damaged_plans_are_built_again(jetson: Jetson) -> None:
    assert build(jetson) == 0
    path = jetson.opened().decoder
    good = path.read_bytes()
    path.write_bytes(good[:-9] + b"\0" + good[-8:])
    assert build(jetson) == 0
    assert jetson.opened().decoder.read_bytes() == good


def test_a_build_that_fails_leaves_no_half_plans(jetson: Jetson, capsys: pytest.CaptureFixture[str]) -> None:
    jetson.machine.refuse.add("build_serialized_network")
    assert build(jetson) == 1
    assert "edgevlm build: TensorRT" in capsys.readouterr().err
    assert [path.name for path in jetson.plans.iterdir()] == ["lock"]


def test_a_plans_folder_that_cannot_be_written_is_refused(
    jetson: Jetson, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert build(jetson, "--plans", str(tmp_path / "file" / "plans")) == 1
    refusal = f"{tmp_path}/file/plans cannot be written: Not a directory; choose another folder with --plans."
    assert refusal in capsys.readouterr().err


def test_what_a_crash_left_is_removed(jetson: Jetson) -> None:
    left = jetson.plans / ".0123.abc.partial"
    left.mkdir(parents=True)
    (left / "vision.plan").write_bytes(b"half")
    assert build(jetson) == 0
    assert not left.exists()
    assert jetson.opened()


def test_a_disk_that_is_too_full_is_found_out_before_the_work(
    jetson: Jetson, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage(jetson.bundle)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert build(jetson) == 1
    assert "and 1000 bytes are free there; make room" in capsys.readouterr().err
    assert jetson.builds() == 0


@pytest.mark.slow
def test_a_server_builds_on_its_first_start_and_not_on_its_second(
    jetson: Jetson, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(max_batch=SLOTS, max_length=LENGTH)
    for start in ("first", "second"):
        caplog.clear()
        with (
            caplog.at_level(logging.INFO),
            LiveServer(lambda: load_model(jetson.bundle, settings, prepare=ensure_plans), settings) as live,
        ):
            assert live.chat().status_code == 200
        assert ("this happens once and takes minutes" in caplog.text) == (start == "first")
        assert ("Building decoder.plan: done after" in caplog.text) == (start == "first")
    assert jetson.builds() == 2


def test_a_server_builds_into_the_folder_that_was_chosen(jetson: Jetson, tmp_path: Path) -> None:
    settings = Settings(max_batch=SLOTS, max_length=LENGTH, plans=tmp_path / "chosen")
    load_model(jetson.bundle, settings, prepare=partial(ensure_plans, plans=settings.plans)).engine.close()
    assert jetson.opened(tmp_path / "chosen")


def test_a_server_whose_plans_cannot_be_built_says_why(jetson: Jetson) -> None:
    jetson.machine.refuse.add("build_serialized_network")
    with pytest.raises(EngineLoadError, match=r"cannot build vision.onnx: \[myelin\]"):
        load_model(jetson.bundle, Settings(max_batch=SLOTS, max_length=LENGTH), prepare=ensure_plans)


def test_a_bundle_for_onnx_runtime_needs_no_plans(bundles: Callable[[str], Path]) -> None:
    ensure_plans(open_bundle(bundles("v2")), SLOTS, LENGTH)
    with installed() as machine:
        assert main(["build", str(bundles("v2"))]) == 78
        assert machine.named("build_serialized_network") == []


def test_progress_of_a_build_is_logged_as_it_goes_on(
    jetson: Jetson, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgevlm.progress.QUIET_SECONDS", 0)
    with caplog.at_level(logging.INFO):
        assert build(jetson) == 0
    lines = [line for line in caplog.messages if line.startswith("Building decoder.plan")]
    assert lines[0] == "Building decoder.plan: started."
    assert "50 %" in lines[1]
    assert "100 %" in lines[-2]
    assert "done after" in lines[-1]


@pytest.mark.slow
def test_without_tensorrt_it_says_so_in_one_sentence(device_bundles: Callable[[str, str], Path]) -> None:
    command = [sys.executable, "-m", "edgevlm", "build", str(device_bundles("v2", "jetpack6"))]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 78
    [line] = result.stderr.splitlines()
    assert line.startswith("edgevlm build: TensorRT is not installed; it comes with JetPack")


def test_without_a_gpu_it_says_so_in_one_sentence(jetson: Jetson, capsys: pytest.CaptureFixture[str]) -> None:
    jetson.machine.fail["cudaSetDevice"] = "cudaErrorInsufficientDriver"
    assert build(jetson) == 78
    error = capsys.readouterr().err.splitlines()
    assert error == ["edgevlm build: CUDA finds no GPU here: cudaSetDevice failed: cudaErrorInsufficientDriver."]
    jetson.machine.fail.clear()


CRASH = """
import importlib, os, sys
from tests.tensorrt.standin import installed
from edgevlm.cli import main
with installed(sys.argv[2]) as machine:
    tensorrt = importlib.import_module(machine.module)
    build = tensorrt.Builder.build_serialized_network
    def die_in_the_second(self, network, config):
        if machine.named("build_serialized_network"):
            os._exit(9)
        return build(self, network, config)
    tensorrt.Builder.build_serialized_network = die_in_the_second
    main(["build", sys.argv[1], "--max-batch", "2", "--max-length", "500"])
"""


@pytest.mark.slow
def test_a_process_that_dies_between_the_plans_leaves_nothing_that_is_used(jetson: Jetson) -> None:
    command = [sys.executable, "-c", CRASH, str(jetson.bundle), jetson.machine.tensorrt]
    assert subprocess.run(command, stderr=subprocess.PIPE).returncode == 9
    [left] = [path for path in jetson.plans.iterdir() if path.is_dir()]
    assert left.suffix == ".partial" and [path.name for path in left.iterdir()] == ["vision.plan"]
    assert build(jetson) == 0
    assert not left.exists()
    assert jetson.opened()


def test_a_tensorrt_that_is_too_old_for_the_graphs_is_told_before_the_work(
    device_bundles: Callable[[str, str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = shutil.copytree(device_bundles("v2", "jetpack7"), tmp_path / "bundle")
    with installed("10.3.0") as machine:
        assert main(["build", str(bundle), *OPTIONS]) != 0
        assert machine.named("build_serialized_network") == []
    assert "from 10.15 on, and this is TensorRT 10.3.0; export it with --device jetpack6" in capsys.readouterr().err
