"""GPUs of a PC. `StandIn` plays NVIDIA's library, which needs a driver; its names are checked against the library."""

import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest
from edgevlm_server.device.clocks import Clock, Gpu
from edgevlm_server.device.device import Device, read_device
from edgevlm_server.device.fans import Fan
from edgevlm_server.device.nvml import REASONS, Nvml, open_nvml
from edgevlm_server.device.rails import Rail
from edgevlm_server.device.root import Root
from edgevlm_server.device.thermal import Cooler, Trip, Zone

from tests.server.device.trees import ORIN_NANO, machine


class StandIn:
    """Answers as NVML would for one GPU; an exception among the answers is raised. Constants are the library's."""

    def __init__(self, **answers: object) -> None:
        self.answers: dict[str, object] = {
            "nvmlInit": None,
            "nvmlShutdown": None,
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetHandleByIndex": "handle",
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=35, memory=20),
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=12 * 2**30, used=3 * 2**30, free=9 * 2**30),
            "nvmlDeviceGetClockInfo": 1500,
            "nvmlDeviceGetMaxClockInfo": 2100,
            "nvmlDeviceGetPowerUsage": 70_500,
            "nvmlDeviceGetTemperature": 61,
            "nvmlDeviceGetTemperatureThreshold": 95,
            "nvmlDeviceGetCurrentClocksEventReasons": pynvml.nvmlClocksEventReasonSwPowerCap,
            "nvmlDeviceGetNumFans": 1,
            "nvmlDeviceGetFanSpeed_v2": 40,
            "nvmlDeviceGetTotalEnergyConsumption": 1_000_000,
            **answers,
        }

    def __getattr__(self, name: str) -> Any:
        if name not in self.answers:
            return getattr(pynvml, name)

        def answer(*arguments: object) -> object:
            found = self.answers[name]
            if isinstance(found, Exception):
                raise found
            return found

        return answer


def joules(device: Device) -> float | None:
    state = device.state()
    assert state is not None
    return state.joules


def nvml(**answers: object) -> Nvml:
    found = open_nvml(lambda: StandIn(**answers))
    assert found is not None
    return found


def test_the_stand_in_has_no_name_that_the_library_lacks() -> None:
    assert [name for name in (*StandIn().answers, *REASONS.values()) if not hasattr(pynvml, name)] == []


def test_one_gpu() -> None:
    [found] = nvml().read()
    assert found.gpu == Gpu("gpu0", 0.35, 3 * 2**30, 12 * 2**30)
    assert found.clocks == (
        Clock("gpu0", 1_500_000_000, None, 2_100_000_000),
        Clock("gpu0-memory", 1_500_000_000, None, 2_100_000_000),
    )
    assert found.rail == (Rail("gpu0", 70.5),)
    assert found.zones == (Zone("gpu0", 61, (Trip("passive", 95), Trip("critical", 95))),)
    assert [one for one in found.coolers if one.throttling] == [Cooler("gpu0-power-cap", 1, 1, True)]
    assert found.fans == (Fan("gpu0-0", 0.4, None),)


def test_what_a_gpu_does_not_support_is_absent_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    unknown = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    needed = ("nvmlInit", "nvmlShutdown", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex")
    answers = {name: unknown for name in StandIn().answers if name not in needed}
    with caplog.at_level(logging.DEBUG):
        [found] = nvml(**answers).read()
    assert found.gpu == Gpu("gpu0", None, None, None)
    assert (found.clocks, found.rail, found.zones, found.coolers, found.fans) == ((), (), (), (), ())
    assert caplog.messages == []


def test_what_fails_is_absent_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        asked = nvml(nvmlDeviceGetPowerUsage=pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST))
        assert [one.rail for one in (*asked.read(), *asked.read())] == [(), ()]
    assert caplog.messages == ["NVML does not answer nvmlDeviceGetPowerUsage: GPU is lost; it is left out."]


def test_without_library_driver_or_gpu_there_is_none(caplog: pytest.LogCaptureFixture) -> None:
    def missing() -> Any:
        raise ImportError

    with caplog.at_level(logging.INFO):
        assert open_nvml(missing) is None
        assert open_nvml(lambda: StandIn(nvmlInit=pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED))) is None
        assert open_nvml(lambda: StandIn(nvmlDeviceGetCount=0)) is None
    assert caplog.messages == []


def test_the_gpus_own_counter_gives_the_energy_since_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = StandIn()
    found = open_nvml(lambda: library)
    device = Device(Root(tmp_path), found)
    assert joules(device) == 0.0
    library.answers["nvmlDeviceGetTotalEnergyConsumption"] = 1_250_000
    monkeypatch.setattr("edgevlm_server.device.device.FRESH_SECONDS", 0.0)
    assert joules(device) == 250.0
    state = device.state()
    assert state is not None and (state.watts, state.throttling) == (70.5, True)
    device.close()


def test_without_such_a_counter_power_is_asked_and_summed(tmp_path: Path) -> None:
    found = nvml(nvmlDeviceGetTotalEnergyConsumption=pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED))
    device = Device(Root(tmp_path), found)
    assert [thread for thread in threading.enumerate() if thread.name == "edgevlm-energy"]
    device.close()


def test_a_jetson_is_asked_by_its_files_alone(tmp_path: Path) -> None:
    with machine(tmp_path, ORIN_NANO) as root:
        assert [gpu.load for gpu in read_device(root, nvml()).gpus] == [0.874]
