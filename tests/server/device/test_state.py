"""What is read of each machine; what is off, missing or nonsense is absent, and said once."""

import logging
from pathlib import Path

import pytest
from edgevlm_server.device.clocks import EMC_NOW, Clock, Gpu
from edgevlm_server.device.fans import Fan
from edgevlm_server.device.memory import Memory
from edgevlm_server.device.power_modes import PowerMode
from edgevlm_server.device.rails import Rail, read_total
from edgevlm_server.device.state import DeviceState, read_state
from edgevlm_server.device.thermal import Cooler, Overcurrent, Trip, Zone

from tests.server.device.trees import (
    AGX_ORIN,
    JETPACK_7,
    ORIN_NANO,
    ORIN_NX,
    SILENT,
    TREES,
    Files,
    cooler,
    machine,
    zone,
)

NONSENSE = ("", "\0", "abc", "--5", "-99999999", "9" * 30, "9" * 5000, "\udcff\udcfe" * 40, "1 2 3", "0x10", "٣")


def state(folder: Path, files: Files) -> DeviceState:
    with machine(folder, files) as root:
        return read_state(root)


def test_an_orin_nano(tmp_path: Path) -> None:
    hot = (Trip("passive", 99.0), Trip("critical", 104.5))
    assert state(tmp_path, ORIN_NANO) == DeviceState(
        gpus=(Gpu("gpu0", 0.874, 2_100_000 * 1024, None),),
        clocks=(
            Clock("cpu0", 1_344_000_000, 729_600_000, 1_728_000_000),
            Clock("cpu4", 729_600_000, 729_600_000, 1_728_000_000),
            Clock("gpu0", 612_000_000, 306_000_000, 1_020_000_000),
            Clock("emc", None, None, 3_199_000_000),
        ),
        memory=Memory(7_802_496 * 1024, 3_200_000 * 1024, 2_100_000 * 1024),
        rails=(
            Rail("VDD_IN", 12.55872),
            Rail("VDD_CPU_GPU_CV", 5.66272),
            Rail("VDD_SOC", 2.62912),
        ),
        watts=12.55872,
        zones=(
            Zone("cpu-thermal", 51.687, hot),
            Zone("gpu-thermal", 52.5, hot),
            Zone("tj-thermal", 52.5, (Trip("active", 46.0), Trip("active", 60.0), Trip("critical", 104.5))),
        ),
        coolers=(
            Cooler("pwm-fan", 2, 4, False),
            Cooler("cpu-throttle-alert", 0, 2, True),
            Cooler("gpu-throttle-alert", 0, 2, True),
            Cooler("hot-surface-alert", 0, 2, True),
        ),
        overcurrent=(Overcurrent("oc1", 0), Overcurrent("oc2", 15), Overcurrent("oc3", 37)),
        fans=(Fan("tachometer", None, 2140), Fan("pwmfan", 0.4, None)),
        mode=PowerMode(2, "MAXN_SUPER"),
    )


def test_an_orin_nx_that_is_too_hot(tmp_path: Path) -> None:
    found = state(tmp_path, ORIN_NX)
    assert found.throttling is True
    assert found.gpus == (Gpu("gpu0", 1.0, 4_000_000 * 1024, None),)
    assert found.clock("gpu0") == Clock("gpu0", 918_000_000, 306_000_000, 918_000_000)
    # the memory's clock now is for root, who reads here
    assert found.clock("emc") == Clock("emc", 2_133_000_000, None, 3_199_000_000)
    assert found.watts == pytest.approx(23.04)
    assert found.zones[0].throttles_at == 95.0
    # a container does not see the names of the modes
    assert found.mode == PowerMode(3, None)
    assert (found.fans, found.overcurrent) == ((), ())


def test_an_agx_orin_whose_rails_are_added_up(tmp_path: Path) -> None:
    found = state(tmp_path, AGX_ORIN)
    watts = {"VDD_GPU_SOC": 5.928, "VDD_CPU_CV": 1.976, "VIN_SYS_5V0": 4.734504, "VDDQ_VDD2_1V8AO": 0.79488}
    assert {rail.name: rail.watts for rail in found.rails} == pytest.approx(watts)
    assert found.watts == pytest.approx(sum(watts.values()))
    # an idle GPU is at 0, which is not the same as unknown
    assert found.gpus[0].load == 0.0
    assert found.throttling is False
    assert found.mode == PowerMode(0, "MAXN")
    assert [clock.name for clock in found.clocks] == ["cpu0", "cpu4", "cpu8", "gpu0", "emc"]
    assert found.cpu_clock is not None and found.cpu_clock.pinned


def test_names_of_jetpack_7(tmp_path: Path) -> None:
    found = state(tmp_path, JETPACK_7)
    assert found.clocks == (
        Clock("gpu0", 612_000_000, 306_000_000, 1_020_000_000),
        Clock("emc", 2_133_000_000, 204_000_000, 3_199_000_000),
    )
    assert found.gpus == (Gpu("gpu0", None, None, None),)
    assert found.fans == (Fan("pwmfan", 0.0, 0),)
    assert (found.throttling, found.mode, found.memory) == (None, None, Memory(None, None, None))


def test_a_gpu_is_found_by_its_name_in_the_device_tree_too(tmp_path: Path) -> None:
    folder = "/sys/class/devfreq/17000000"
    found = state(tmp_path, {f"{folder}/device/of_node/name": "ga10b\0", f"{folder}/device/load": 500})
    assert found.gpus == (Gpu("gpu0", 0.5, None, None),)


def test_a_machine_without_any_of_it_gives_nothing_and_says_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        found = state(tmp_path / "nothing", {})
    assert found == DeviceState((), (), Memory(None, None, None), (), None, (), (), (), (), None)
    assert found.throttling is None
    assert caplog.records == []


def test_a_sensor_that_is_off_is_absent_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with machine(tmp_path, ORIN_NANO) as root, caplog.at_level(logging.DEBUG):
        first, second = read_state(root), read_state(root)
    assert first == second
    assert "cv0-thermal" not in [zone.name for zone in first.zones]
    assert caplog.messages == [
        "/sys/class/thermal/thermal_zone2/temp cannot be read: Resource temporarily unavailable; it is left out."
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("nonsense", NONSENSE)
def test_nonsense_and_missing_files_are_absent_and_no_error(name: str, nonsense: str, tmp_path: Path) -> None:
    files = TREES[name]
    for number, garbled in enumerate(files):
        with machine(tmp_path / str(number), {**files, garbled: nonsense}) as root:
            _no_zero_for_nonsense(read_state(root))
            root.path(garbled).unlink()
            read_state(root)
            root.path(garbled).mkdir()
            read_state(root)
            root.path(garbled).rmdir()


def _no_zero_for_nonsense(found: DeviceState) -> None:
    assert all(zone.temperature > 40 for zone in found.zones)
    assert found.watts is None or found.watts > 5, "a part of the rails is not the whole"
    assert found.memory.total is None or found.memory.total > 2**30
    assert all(clock.now is None or clock.now >= 115_200_000 for clock in found.clocks)


def test_nonsense_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {
        **AGX_ORIN,
        "/sys/class/thermal/thermal_zone0/temp": -256_000,
        "/sys/class/hwmon/hwmon3/curr2_input": "many",
        "/var/lib/nvpmodel/status": "pmode:",
        "/etc/nvpmodel.conf": "# empty",
    }
    with machine(tmp_path, files) as root, caplog.at_level(logging.INFO):
        for _ in range(3):
            found = read_state(root)
    assert sorted(caplog.messages) == [
        "/etc/nvpmodel.conf lists no power modes; it is left out.",
        "/sys/class/hwmon/hwmon3/curr2_input holds nonsense: 'many'; it is left out.",
        "/sys/class/thermal/thermal_zone0/temp holds nonsense: '-256000'; it is left out.",
        "/var/lib/nvpmodel/status names no power mode; it is left out.",
    ]
    assert (found.zones, found.mode) == ((), None)
    # the sum of the others would be too small
    assert found.watts is None and found.rails[1] == Rail("VDD_CPU_CV", None)


def test_a_file_that_cannot_be_read_is_absent_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with machine(tmp_path, ORIN_NX) as root, caplog.at_level(logging.INFO):
        clock = root.path(EMC_NOW)
        clock.unlink()
        # as forbidden as a file of root's, and for root, too
        clock.symlink_to(clock)
        found = [read_state(root), read_state(root)]
    assert [one.clock("emc") for one in found] == 2 * [Clock("emc", None, None, 3_199_000_000)]
    assert caplog.messages == [f"{EMC_NOW} cannot be read: Too many levels of symbolic links; it is left out."]


def test_a_rail_that_is_switched_off_is_none(tmp_path: Path) -> None:
    files = {**ORIN_NANO, "/sys/class/hwmon/hwmon1/in3_enable": 0}
    assert [rail.name for rail in state(tmp_path, files).rails] == ["VDD_IN", "VDD_CPU_GPU_CV"]


def test_the_energy_meter_asks_the_main_rail_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {**ORIN_NANO, "/sys/class/hwmon/hwmon1/in3_input": "not to be read"}
    with machine(tmp_path, files) as root, caplog.at_level(logging.INFO):
        assert read_total(root) == pytest.approx(12.55872)
    assert caplog.messages == []


def test_a_trip_point_that_was_never_set_is_absent_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = zone(0, "x86_pkg_temp", 40_000, ("passive", 0), ("passive", -274_000), ("critical", 100_000))
    with caplog.at_level(logging.INFO):
        assert state(tmp_path, files).zones == (Zone("x86_pkg_temp", 40.0, (Trip("critical", 100.0),)),)
    assert caplog.messages == []


def test_zones_of_one_name_are_told_apart(tmp_path: Path) -> None:
    files = {**zone(0, "acpitz", 30_000), **zone(1, "acpitz", SILENT), **zone(10, "acpitz", 31_000)}
    assert [zone.name for zone in state(tmp_path, files).zones] == ["acpitz", "acpitz-10"]


def test_a_fan_at_full_speed_is_not_throttling(tmp_path: Path) -> None:
    files = {**cooler(0, "pwm-fan", 4, 4), **cooler(1, "gpu-throttle-alert", 0, 2), **cooler(2, "TCC Offset", 3, 63)}
    assert state(tmp_path / "cool", files).throttling is False
    assert state(tmp_path / "hot", {**files, **cooler(1, "gpu-throttle-alert", 1, 2)}).throttling is True
