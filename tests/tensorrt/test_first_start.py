"""A server's first start with TensorRT and nothing but a checkpoint, and its second, on stand-ins."""

import argparse
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from edgevlm_engines import EngineLoadError, NotNow
from edgevlm_export.folder_lock import unused
from edgevlm_server.model import Model, load_model
from edgevlm_server.options import chosen_options
from edgevlm_server.settings import Settings

from edgevlm.conversion import Conversion
from edgevlm.first_start import served_bundle, this_device
from edgevlm.plans import ensure_plans
from tests.conftest import GOLDEN
from tests.live import LiveServer
from tests.tensorrt.jetsons import ALL
from tests.tensorrt.standin import Machine, installed

pytestmark = pytest.mark.slow

SLOTS, LENGTH = 2, 500
SETTINGS = Settings(max_batch=SLOTS, max_length=LENGTH)


@pytest.fixture(params=ALL)
def jetson(request: pytest.FixtureRequest) -> Iterator[tuple[str, Machine]]:
    with installed(ALL[request.param]) as machine:
        yield request.param, machine
        machine.check_released()


def server(cache: Path, settings: Settings = SETTINGS) -> LiveServer:
    """As `edgevlm serve` puts it together."""
    conversion = Conversion(vision_tower=GOLDEN / "v2" / "clip")
    prepare = partial(ensure_plans, plans=settings.plans)

    def load() -> Model:
        bundle = served_bundle(GOLDEN / "v2" / "checkpoint", settings, conversion, cache)
        return load_model(bundle, settings, prepare=prepare)

    return LiveServer(load, settings)


def test_it_exports_and_builds_once(
    jetson: tuple[str, Machine], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    device, machine = jetson
    settings = Settings(max_batch=SLOTS, max_length=LENGTH, plans=tmp_path / "plans")
    for start in ("first", "second"):
        caplog.clear()
        with caplog.at_level(logging.INFO), server(tmp_path / "cache", settings) as live:
            assert live.chat("hello").status_code == 200
            manifest = live.service.loaded().model.manifest
        assert (manifest.device, manifest.precision) == (device, "fp16")
        for line in (f"for {device} into ", "Exporting checkpoint: done", "Building decoder.plan: done"):
            assert (line in caplog.text) == (start == "first"), line
    assert len(machine.named("build_serialized_network")) == 2
    [plans] = (path for path in (tmp_path / "plans").iterdir() if path.is_dir())
    with unused(plans) as free:
        assert not free, "what is served must not be pruned"


def test_the_demo_model_is_made_for_the_jetson_too(jetson: tuple[str, Machine], tmp_path: Path) -> None:
    device, _ = jetson
    bundle = served_bundle(None, SETTINGS, Conversion(), tmp_path)
    assert f'"device": "{device}"' in (bundle / "manifest.json").read_text()


def test_another_engine_is_exported_for_when_it_is_asked_for(jetson: tuple[str, Machine]) -> None:
    assert this_device(Settings(engine="ort")) == "cpu"
    assert this_device(Settings(engine="ort", provider="cuda")) == "cuda"
    assert this_device(Settings(provider="cuda")) == "cuda"
    assert this_device(Settings(engine="echo")) == "cpu"
    assert this_device(Settings(engine="trt")) == jetson[0]


def test_a_tensorrt_that_cannot_run_is_said_and_one_that_others_hold_is_waited_for(
    jetson: tuple[str, Machine], caplog: pytest.LogCaptureFixture
) -> None:
    machine = jetson[1]
    machine.fail["cudaSetDevice"] = "cudaErrorInsufficientDriver"
    assert this_device(Settings()) == "cpu"
    assert "TensorRT cannot run here, and the CPU is used: CUDA finds no GPU here: cudaSetDevice" in caplog.text
    machine.fail["cudaSetDevice"] = "cudaErrorMemoryAllocation"
    with pytest.raises(NotNow, match="Other programs hold the GPU"):
        this_device(Settings())


def test_without_tensorrt_it_is_onnx_runtime() -> None:
    assert this_device(Settings()) == "cpu"
    with pytest.raises(EngineLoadError, match="TensorRT is not installed"):
        this_device(Settings(engine="trt"))


def test_options_of_the_command_line_reach_the_conversion() -> None:
    from edgevlm.commands.serve import add_arguments

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args(["DIR", "--precision", "int8", "--vision-tower", "CLIP", "--device", "rtx"])
    assert chosen_options(Conversion, arguments) == Conversion(Path("CLIP"), "int8", None, "rtx")


def test_a_checkpoint_is_exported_for_the_device_that_was_named(tmp_path: Path) -> None:
    conversion = Conversion(vision_tower=GOLDEN / "v2" / "clip", device="rtx")
    bundle = served_bundle(GOLDEN / "v2" / "checkpoint", SETTINGS, conversion, tmp_path)
    assert '"device": "rtx"' in (bundle / "manifest.json").read_text()
