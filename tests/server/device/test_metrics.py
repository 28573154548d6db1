"""The device in /metrics: which series each machine has, and none for what it does not say."""

import asyncio
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from edgevlm_server.device.device import Device
from edgevlm_server.observe.metrics import Metrics

from tests.live import LiveServer
from tests.server.device.trees import AGX_ORIN, ORIN_NANO, ORIN_NX, TREES, Files, machine
from tests.server.engines import until


def exported(folder: Path, files: Files) -> str:
    with machine(folder, files) as root:
        device, metrics = Device(root), Metrics()
        metrics.watch(device)
        text = metrics.text().decode()
        device.close()
    return text


def series(folder: Path, files: Files) -> dict[str, float]:
    """Those of the device, without the prefix."""
    text = exported(folder, files)
    return {name: float(value) for name, value in re.findall(r"^edgevlm_device_(\S+) (\S+)$", text, re.MULTILINE)}


def test_an_orin_nano(tmp_path: Path) -> None:
    found = series(tmp_path, ORIN_NANO)
    # the meter's thread may or may not have asked by now
    found.pop("energy_joules_total", None)
    kib = 1024
    assert found == {
        'gpu_utilization_ratio{gpu="gpu0"}': 0.874,
        'gpu_memory_used_bytes{gpu="gpu0"}': 2_100_000 * kib,
        "memory_used_bytes": 4_602_496 * kib,
        "memory_available_bytes": 3_200_000 * kib,
        "memory_total_bytes": 7_802_496 * kib,
        'clock_hertz{clock="cpu0"}': 1.344e9,
        'clock_hertz{clock="cpu4"}': 7.296e8,
        'clock_hertz{clock="gpu0"}': 6.12e8,
        'clock_max_hertz{clock="cpu0"}': 1.728e9,
        'clock_max_hertz{clock="cpu4"}': 1.728e9,
        'clock_max_hertz{clock="gpu0"}': 1.02e9,
        'clock_max_hertz{clock="emc"}': 3.199e9,
        'power_watts{rail="VDD_IN"}': 12.55872,
        'power_watts{rail="VDD_CPU_GPU_CV"}': 5.66272,
        'power_watts{rail="VDD_SOC"}': 2.62912,
        "total_power_watts": 12.55872,
        'temperature_celsius{zone="cpu-thermal"}': 51.687,
        'temperature_celsius{zone="gpu-thermal"}': 52.5,
        'temperature_celsius{zone="tj-thermal"}': 52.5,
        'trip_point_celsius{trip="0",type="passive",zone="cpu-thermal"}': 99.0,
        'trip_point_celsius{trip="1",type="critical",zone="cpu-thermal"}': 104.5,
        'trip_point_celsius{trip="0",type="passive",zone="gpu-thermal"}': 99.0,
        'trip_point_celsius{trip="1",type="critical",zone="gpu-thermal"}': 104.5,
        'trip_point_celsius{trip="0",type="active",zone="tj-thermal"}': 46.0,
        'trip_point_celsius{trip="1",type="active",zone="tj-thermal"}': 60.0,
        'trip_point_celsius{trip="2",type="critical",zone="tj-thermal"}': 104.5,
        "throttling": 0.0,
        'cooling_state{device="pwm-fan"}': 2.0,
        'cooling_state{device="cpu-throttle-alert"}': 0.0,
        'cooling_state{device="gpu-throttle-alert"}': 0.0,
        'cooling_state{device="hot-surface-alert"}': 0.0,
        'cooling_state_max{device="pwm-fan"}': 4.0,
        'cooling_state_max{device="cpu-throttle-alert"}': 2.0,
        'cooling_state_max{device="gpu-throttle-alert"}': 2.0,
        'cooling_state_max{device="hot-surface-alert"}': 2.0,
        'fan_drive_ratio{fan="pwmfan"}': 0.4,
        'fan_rpm{fan="tachometer"}': 2140.0,
        'power_mode_info{mode="2",name="MAXN_SUPER"}': 1.0,
        'overcurrent_events_total{line="oc1"}': 0.0,
        'overcurrent_events_total{line="oc2"}': 15.0,
        'overcurrent_events_total{line="oc3"}': 37.0,
    }


def test_an_orin_nx_without_a_fan_has_no_series_of_fans(tmp_path: Path) -> None:
    found = series(tmp_path, ORIN_NX)
    assert found["throttling"] == 1.0
    assert found['power_mode_info{mode="3",name=""}'] == 1.0
    assert found['clock_hertz{clock="emc"}'] == 2.133e9
    assert not [name for name in found if name.startswith(("fan", "overcurrent"))]


def test_zeros_that_are_known_are_there(tmp_path: Path) -> None:
    found = series(tmp_path, AGX_ORIN)
    assert found['gpu_utilization_ratio{gpu="gpu0"}'] == 0.0
    assert found["total_power_watts"] == pytest.approx(13.433384)


@pytest.mark.slow
@pytest.mark.parametrize("name", TREES)
def test_what_is_taken_away_is_absent_and_not_zero(name: str, tmp_path: Path) -> None:
    whole = series(tmp_path / "whole", TREES[name])
    for number, missing in enumerate(TREES[name]):
        files = {other: content for other, content in TREES[name].items() if other != missing}
        for one, value in series(tmp_path / str(number), files).items():
            assert value != 0.0 or whole.get(one) == 0.0 or one == "energy_joules_total", f"{one} without {missing}"


def test_a_machine_without_any_of_it_exports_nothing(tmp_path: Path) -> None:
    assert "edgevlm_device" not in exported(tmp_path, {})


@pytest.mark.slow
def test_a_server_tells_of_its_device_and_stops_asking_when_it_closes(
    bundles: Callable[[str], Path], tmp_path: Path
) -> None:
    with machine(tmp_path, ORIN_NANO) as root:
        with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
            assert "edgevlm_device" not in server.client.get("/metrics").text
            watching = server.service.watch_device(lambda: Device(root))
            asyncio.run_coroutine_threadsafe(watching, server.loop).result(30)
            scraped = server.client.get("/metrics").text
        assert 'edgevlm_device_power_watts{rail="VDD_IN"} 12.55872\n' in scraped
        assert "# TYPE edgevlm_device_overcurrent_events_total counter\n" in scraped
    until(lambda: not any(one.name == "edgevlm-energy" for one in threading.enumerate()), "the thread to end")
