"""Energy: what a minute of given watts is in joules, and that the thread which asks ends."""

import threading
from pathlib import Path

import pytest
from edgevlm_server.device.device import Device
from edgevlm_server.device.energy import EnergyMeter
from edgevlm_server.device.root import Root
from edgevlm_server.observe.metrics import Metrics

from tests.server.device.trees import ORIN_NANO, machine
from tests.server.engines import until


def meter(*readings: tuple[float, float | None]) -> EnergyMeter:
    made = EnergyMeter(lambda: None)
    for now, watts in readings:
        made.add(now, watts)
    return made


def meters() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "edgevlm-energy"]


def energy(device: Device) -> float | None:
    state = device.state()
    assert state is not None
    return state.joules


def test_power_is_summed_over_time() -> None:
    # ten seconds at 12 W, a rise to 24 W within two, then 24 W for four
    assert meter((100, 12.0), (110, 12.0), (112, 24.0), (116, 24.0)).joules() == 120 + 36 + 96


def test_energy_is_unknown_until_power_is_known_and_then_begins_at_zero() -> None:
    assert meter().joules() is None
    assert meter((0, None), (1, None)).joules() is None
    assert meter((0, None), (1, 7.5)).joules() == 0.0


def test_a_gap_adds_nothing() -> None:
    assert meter((0, 10.0), (1, 10.0), (2, None), (3, 10.0), (4, 10.0)).joules() == 20.0


def test_the_thread_asks_again_and_again_and_ends_when_closed() -> None:
    asked = threading.Semaphore(0)

    def watts() -> float:
        asked.release()
        return 5.0

    running = EnergyMeter(watts, interval=0.001)
    running.start()
    assert all(asked.acquire(timeout=30) for _ in range(5))
    running.close()
    until(lambda: not meters(), "the thread to end")
    joules = running.joules()
    assert joules is not None and joules > 0


def test_closing_does_not_wait_for_a_sensor_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevlm_server.device.energy.CLOSE_SECONDS", 0.01)
    asked, answer = threading.Event(), threading.Event()

    def watts() -> float:
        asked.set()
        answer.wait(30)
        return 5.0

    hanging = EnergyMeter(watts)
    hanging.start()
    assert asked.wait(30)
    hanging.close()
    answer.set()
    hanging._thread.join(30)


def test_a_device_without_rails_has_no_thread(tmp_path: Path) -> None:
    until(lambda: not meters(), "those of other tests to end")
    with machine(tmp_path / "none", {}) as root:
        none = Device(root)
        assert energy(none) is None and not meters()
        none.close()
    with machine(tmp_path / "nano", ORIN_NANO) as root:
        nano = Device(root)
        assert len(meters()) == 1
        nano.close()
        until(lambda: not meters(), "the thread to end")


def test_those_who_ask_at_once_share_one_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevlm_server.device.device.FRESH_SECONDS", 60.0)
    with machine(tmp_path, ORIN_NANO) as root:
        device = Device(root)
        first = device.state()
        root.path("/sys/class/hwmon/hwmon2/pwm1").write_text("255\n")
        assert device.state() is first
        device.close()


class HangingRoot(Root):
    """Plays a sensor that does not answer, once it is told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.answers = threading.Event()
        self.answers.set()
        self.asked = threading.Event()

    def text(self, name: str) -> str | None:
        if not self.answers.is_set():
            self.asked.set()
            self.answers.wait(30)
        return super().text(name)


def test_one_thread_hangs_on_a_sensor_and_not_everyone_who_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgevlm_server.device.device.PATIENCE_SECONDS", 0.01)
    root = HangingRoot(tmp_path)
    device, metrics = Device(root), Metrics()
    metrics.watch(device)
    root.answers.clear()
    hanging = threading.Thread(target=device.state)
    hanging.start()
    assert root.asked.wait(30)
    # the others have their metrics, without the device's
    assert b"edgevlm_num_requests_running 0.0" in metrics.text()
    assert device.state() is None
    assert device.close() is False
    root.answers.set()
    hanging.join(30)
    assert device.state() is not None and device.close() is True
