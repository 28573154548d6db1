"""Files of Jetson Orins as /metrics reads them. Written after documentation; none was recorded on a device.

Where each path and format comes from:

- `ina3221` (labels, mV, mA, `inN_enable`, channel 7): Linux, Documentation/hwmon/ina3221.rst. Which labels a module
  has: its device tree in Linux (tegra234-p3701.dtsi for AGX, tegra234-p3767.dtsi for Nano and NX).
- `soctherm_oc` with `ocN_event_cnt`: NVIDIA's driver in L4T's sources, and owners' reports of what it counts.
- thermal zones, trip points, cooling devices: Linux, Documentation/driver-api/thermal/sysfs-api.rst. Their names on
  an Orin, and that sensors of the CV cluster answer EAGAIN while it is off: owners' reports.
- `pwmfan` with `pwm1`: Linux, Documentation/hwmon/pwm-fan.rst; `rpm` of the tachometer: owners' reports.
- devfreq: Linux, Documentation/ABI/testing/sysfs-class-devfreq; `load` in 0.1 % and the names `17000000.ga10b`
  (L4T 35 and 36.2) and `17000000.gpu`: owners' reports. cpufreq: Linux, Documentation/admin-guide/pm/cpufreq.rst.
- `nvpmodel_clk_cap/emc`, `nvpmodel.conf`, `status`: owners' reports; see tests/devices.py.
- JetPack 7 (`bwmgr`, `gpu-gpc-0`): reports of Thor's owners; `fan1_input`: Linux, pwm-fan.rst. That an Orin with
  JetPack 7 has them, too, is a guess.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edgevlm_server.device.root import Root

from tests.devices import AGX_MODES, NANO_MODES

SILENT = object()
"""In place of a file's content: reading it answers EAGAIN, as a sensor does that is off."""

Files = Mapping[str, object]


def ina3221(number: int, channels: Sequence[tuple[str, int, int]]) -> Files:
    """Labels, mV and mA, from channel 1 on. Channels 4 to 6 are the shunts' voltages, in uV."""
    folder = f"/sys/class/hwmon/hwmon{number}"
    files: dict[str, object] = {f"{folder}/name": "ina3221", f"{folder}/in7_label": "Sum of shunt voltages"}
    for channel, (label, volts, amperes) in enumerate(channels, 1):
        files |= {
            f"{folder}/in{channel}_label": label,
            f"{folder}/in{channel}_enable": "1",
            f"{folder}/in{channel}_input": volts,
            f"{folder}/curr{channel}_input": amperes,
            f"{folder}/in{channel + 3}_input": 5 * amperes,
        }
    return files | {f"{folder}/in7_input": 12_345, f"{folder}/curr4_input": sum(one for _, _, one in channels)}


def zone(number: int, name: str, temperature: object, *trips: tuple[str, int]) -> Files:
    folder = f"/sys/class/thermal/thermal_zone{number}"
    files: dict[str, object] = {f"{folder}/type": name, f"{folder}/temp": temperature}
    for trip, (kind, at) in enumerate(trips):
        files |= {f"{folder}/trip_point_{trip}_type": kind, f"{folder}/trip_point_{trip}_temp": at}
    return files


def cooler(number: int, name: str, state: int, most: int) -> Files:
    folder = f"/sys/class/thermal/cooling_device{number}"
    return {f"{folder}/type": name, f"{folder}/cur_state": state, f"{folder}/max_state": most}


def devfreq(name: str, now: int, least: int, most: int) -> Files:
    folder = f"/sys/class/devfreq/{name}"
    return {f"{folder}/cur_freq": now, f"{folder}/min_freq": least, f"{folder}/max_freq": most}


def policy(number: int, now: int, least: int, most: int) -> Files:
    """In kHz."""
    folder = f"/sys/devices/system/cpu/cpufreq/policy{number}"
    values = {"cur": now, "min": least, "max": most}
    return {f"{folder}/scaling_{which}_freq": value for which, value in values.items()}


def overcurrent(number: int, *events: int) -> Files:
    folder = f"/sys/class/hwmon/hwmon{number}"
    counters = {f"{folder}/oc{line}_event_cnt": count for line, count in enumerate(events, 1)}
    return {f"{folder}/name": "soctherm_oc", f"{folder}/oc1_throt_en": 1, **counters}


def meminfo(total: int, available: int, nvmap: int | None = None) -> Files:
    """In kB."""
    more = "" if nvmap is None else f"NvMapMemFree:           0 kB\nNvMapMemUsed:     {nvmap} kB\n"
    return {"/proc/meminfo": f"MemTotal:  {total} kB\nMemFree:  1000 kB\nMemAvailable:   {available} kB\n{more}"}


ORIN_NANO: Files = {
    **devfreq("15340000.vic", 115_200_000, 115_200_000, 729_600_000),
    **devfreq("17000000.gpu", 612_000_000, 306_000_000, 1_020_000_000),
    "/sys/class/devfreq/17000000.gpu/device/load": 874,
    "/sys/kernel/nvpmodel_clk_cap/emc": 3_199_000_000,
    **policy(0, 1_344_000, 729_600, 1_728_000),
    **policy(4, 729_600, 729_600, 1_728_000),
    **meminfo(7_802_496, 3_200_000, 2_100_000),
    "/sys/class/hwmon/hwmon0/name": "tachometer",
    "/sys/class/hwmon/hwmon0/rpm": 2140,
    **ina3221(1, [("VDD_IN", 5064, 2480), ("VDD_CPU_GPU_CV", 5056, 1120), ("VDD_SOC", 5056, 520)]),
    "/sys/class/hwmon/hwmon2/name": "pwmfan",
    "/sys/class/hwmon/hwmon2/pwm1": 102,
    **overcurrent(3, 0, 15, 37),
    **zone(0, "cpu-thermal", 51_687, ("passive", 99_000), ("critical", 104_500)),
    **zone(1, "gpu-thermal", 52_500, ("passive", 99_000), ("critical", 104_500)),
    **zone(2, "cv0-thermal", SILENT),
    **zone(3, "tj-thermal", 52_500, ("active", 46_000), ("active", 60_000), ("critical", 104_500)),
    **cooler(0, "pwm-fan", 2, 4),
    **cooler(1, "cpu-throttle-alert", 0, 2),
    **cooler(2, "gpu-throttle-alert", 0, 2),
    **cooler(3, "hot-surface-alert", 0, 2),
    "/etc/nvpmodel.conf": NANO_MODES,
    "/var/lib/nvpmodel/status": "pmode:0002",
}
"""A developer kit with JetPack 6.2."""

ORIN_NX: Files = {
    **devfreq("17000000.ga10b", 918_000_000, 306_000_000, 918_000_000),
    "/sys/class/devfreq/17000000.ga10b/device/load": 1000,
    "/sys/kernel/nvpmodel_clk_cap/emc": 3_199_000_000,
    "/sys/kernel/debug/bpmp/debug/clk/emc/rate": 2_133_000_000,
    **policy(0, 1_984_000, 729_600, 1_984_000),
    **meminfo(16_000_000, 9_000_000, 4_000_000),
    **ina3221(0, [("VDD_IN", 19_200, 1_200), ("VDD_CPU_GPU_CV", 19_200, 480), ("VDD_SOC", 19_200, 160)]),
    **zone(0, "cpu-thermal", 96_000, ("passive", 95_000), ("critical", 104_500)),
    **cooler(0, "cpufreq-cpu0", 9, 40),
    **cooler(1, "cpu-throttle-alert", 1, 2),
    "/var/lib/nvpmodel/status": "pmode:0003 fmode:fan_mode_quiet",
}
"""On a carrier board without a fan, read by root in a container that has no /etc/nvpmodel.conf; too hot."""

AGX_ORIN: Files = {
    **devfreq("17000000.gpu", 1_300_500_000, 1_300_500_000, 1_300_500_000),
    "/sys/class/devfreq/17000000.gpu/device/load": 0,
    "/sys/kernel/nvpmodel_clk_cap/emc": 3_199_000_000,
    **policy(0, 2_201_600, 2_201_600, 2_201_600),
    **policy(4, 2_201_600, 2_201_600, 2_201_600),
    **policy(8, 2_201_600, 2_201_600, 2_201_600),
    **meminfo(64_349_184, 58_000_000, 900_000),
    **ina3221(3, [("VDD_GPU_SOC", 19_760, 300), ("VDD_CPU_CV", 19_760, 100), ("VIN_SYS_5V0", 4_968, 953)]),
    **ina3221(4, [("NC", 0, 0), ("VDDQ_VDD2_1V8AO", 4_968, 160), ("NC", 0, 0)]),
    "/sys/class/hwmon/hwmon1/name": "pwmfan",
    "/sys/class/hwmon/hwmon1/pwm1": 255,
    **overcurrent(5, 0, 0, 0),
    **zone(0, "tj-thermal", 48_375, ("passive", 99_000), ("critical", 104_500)),
    **cooler(0, "gpu-throttle-alert", 0, 2),
    "/etc/nvpmodel.conf": AGX_MODES,
    "/var/lib/nvpmodel/status": "pmode:0000",
}
"""A developer kit with JetPack 6.2, with no rail for the whole module."""

JETPACK_7: Files = {
    **devfreq("bwmgr", 2_133_000_000, 204_000_000, 3_199_000_000),
    **devfreq("gpu-gpc-0", 612_000_000, 306_000_000, 1_020_000_000),
    **devfreq("gpu-nvd-0", 300_000_000, 300_000_000, 900_000_000),
    "/sys/class/hwmon/hwmon0/name": "pwmfan",
    "/sys/class/hwmon/hwmon0/pwm1": 0,
    "/sys/class/hwmon/hwmon0/fan1_input": 0,
    **ina3221(1, [("VDD_IN", 5064, 1_000), ("VDD_CPU_GPU_CV", 5056, 300), ("VDD_SOC", 5056, 200)]),
}
"""What JetPack 7 calls otherwise; its fan stands still."""

TREES = {"nano": ORIN_NANO, "nx": ORIN_NX, "agx": AGX_ORIN, "jetpack7": JETPACK_7}


@contextmanager
def machine(folder: Path, files: Files) -> Iterator[Root]:
    """The machine whose files these are, written below the folder. Numbers and texts end as the kernel ends them."""
    with ExitStack() as open_files:
        for name, content in files.items():
            path = folder / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is SILENT:
                os.mkfifo(path)
                open_files.callback(os.close, os.open(path, os.O_RDWR))
            else:
                path.write_bytes(f"{content}\n".encode("utf-8", "surrogateescape"))
        yield Root(folder)
