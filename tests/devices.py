"""Machines as trees of files, composed from what owners of such devices have published; none was recorded by us."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgevlm_server.device.root import Root

from edgevlm.doctor.software import Interpreter, Trial
from edgevlm.doctor.survey import Survey, take_survey

RELEASE = (
    "# R{} (release), REVISION: {}, GCID: 42132812, BOARD: generic, EABI: aarch64, DATE: Thu Sep 18 22:54:44 2025\n"
    "# KERNEL_VARIANT: oot\nTARGET_USERSPACE_LIB_DIR=nvidia\n"
)
DRIVER = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  {}  Release Build  (buildbrain@mobile)\n"
    "GCC version:  gcc version 13.3.0 (Ubuntu 13.3.0-6ubuntu2~24.04.1)\n"
)
SENSOR_THAT_IS_OFF = "thermal_zone9"
"""Reading it fails, as on a device."""

PARAMETERS = """\
# nvpmodel configuration
< PARAM TYPE=CLOCK NAME=EMC >
MAX_FREQ /sys/kernel/nvpmodel_clk_cap/emc

< PARAM TYPE=CLOCK NAME=GPU >
MAX_FREQ /sys/devices/platform/17000000.gpu/devfreq_dev/max_freq

# POWER_MODEL DEFINITIONS
"""


def mode(number: int, name: str, emc: int, gpu: int) -> str:
    return (
        f"< POWER_MODEL ID={number} NAME={name} >\nCPU_ONLINE CORE_0 1\nCPU_A78_0 MIN_FREQ 729600\n"
        f"CPU_A78_0 MAX_FREQ -1\nGPU MIN_FREQ 0\nGPU MAX_FREQ {gpu}\nEMC MAX_FREQ {emc}\n\n"
    )


AGX_MODES = (
    PARAMETERS
    + mode(0, "MAXN", -1, -1)
    + mode(1, "MODE_15W", 2_133_000_000, 420_750_000)
    + mode(2, "MODE_30W", 3_199_000_000, 624_750_000)
    + mode(3, "MODE_50W", 3_199_000_000, 828_750_000)
    + "< PM_CONFIG DEFAULT=2 >\n"
)
NANO_MODES = (
    PARAMETERS
    + mode(0, "15W", 2_133_000_000, 612_000_000)
    + mode(1, "25W", 3_199_000_000, 918_000_000)
    + mode(2, "MAXN_SUPER", -1, -1)
    + mode(3, "7W", 2_133_000_000, 408_000_000)
    + "< PM_CONFIG DEFAULT=1 >\n"
)


ORIN_WITH_10_3 = Trial(True, "TensorRT 10.3.0, Orin, compute capability 8.7")


@dataclass(frozen=True)
class Machine:
    """`files` below `/`; `packages` have versions and wheel tags, by name; `target` is what trying TensorRT gives."""

    files: Mapping[str, str]
    architecture: str = "aarch64"
    python: tuple[int, int, int] = (3, 10, 12)
    packages: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    providers: str = "CPUExecutionProvider"
    target: Trial = ORIN_WITH_10_3
    desktop: bool = False

    def with_files(self, **files: str) -> "Machine":
        """The same with other contents of some files, by the last part of their names."""
        names = {name.rpartition("/")[2]: name for name in self.files}
        return replace(self, files={**self.files, **{names[key]: text for key, text in files.items()}})

    def with_packages(self, **packages: tuple[str, str] | None) -> "Machine":
        """The same with other packages; `None` takes one away."""
        changed = {**self.packages, **{name.replace("_", "-"): value for name, value in packages.items()}}
        return replace(self, packages={name: value for name, value in changed.items() if value is not None})

    def survey(self, folder: Path) -> Survey:
        """As a survey of this machine's files, written below `folder`, finds it."""
        for name, text in self._all_files():
            path = folder / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
        zone = folder / f"sys/class/thermal/{SENSOR_THAT_IS_OFF}"
        (zone / "temp").mkdir(parents=True, exist_ok=True)
        (zone / "type").write_text("cv0-thermal\n")
        if self.desktop:
            target = folder / "etc/systemd/system/default.target"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.symlink_to("/lib/systemd/system/graphical.target")
        interpreter = Interpreter(self.python, True, (str(folder / "venv"),), self._try)
        return take_survey(folder, Root(folder), self.architecture, interpreter, folder / "cache")

    def _all_files(self) -> Iterator[tuple[str, str]]:
        yield from self.files.items()
        for name, (version, tag) in self.packages.items():
            folder = f"/venv/{name.replace('-', '_')}-{version}.dist-info"
            yield f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            yield f"{folder}/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n"

    def _try(self, code: str) -> Trial:
        if "onnxruntime" in code:
            return Trial(bool(self.providers), self.providers)
        return self.target


def clocks(cpu: tuple[int, int, int], gpu: tuple[int, int, int], emc: int) -> dict[str, str]:
    """Files of clocks: at this moment, at least, at most; kHz for the CPU, Hz for the others."""
    which = ("cur", "min", "max")
    policy = "/sys/devices/system/cpu/cpufreq/policy0"
    return {
        **{f"{policy}/scaling_{name}_freq": f"{cpu[i]}\n" for i, name in enumerate(which)},
        **{f"/sys/class/devfreq/17000000.gpu/{name}_freq": f"{gpu[i]}\n" for i, name in enumerate(which)},
        "/sys/devices/system/cpu/cpufreq/boost": "0\n",
        "/sys/class/devfreq/15340000.vic/max_freq": "729600000\n",
        "/sys/kernel/nvpmodel_clk_cap/emc": f"{emc}\n",
    }


def memory(total: int, available: int, swaps: str = "") -> dict[str, str]:
    """Sizes in kB."""
    return {
        "/proc/meminfo": f"MemTotal:       {total} kB\nMemFree:  1000 kB\nMemAvailable:   {available} kB\n",
        "/proc/swaps": f"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n{swaps}",
    }


def zone(name: str, temperature: int, passive: int) -> dict[str, str]:
    """A thermal zone with a fan's trip point below that of throttling; temperatures in thousandths of a degree."""
    folder = "/sys/class/thermal/thermal_zone0"
    return {
        f"{folder}/type": f"{name}\n",
        f"{folder}/temp": f"{temperature}\n",
        f"{folder}/trip_point_0_type": "active\n",
        f"{folder}/trip_point_0_temp": "46000\n",
        f"{folder}/trip_point_1_type": "passive\n",
        f"{folder}/trip_point_1_temp": f"{passive}\n",
        f"{folder}/trip_point_2_type": "critical\n",
        f"{folder}/trip_point_2_temp": "104500\n",
    }


PINNED_AGX = clocks((2_201_600,) * 3, (1_300_500_000,) * 3, 3_199_000_000)
AGX_ORIN = Machine(
    files={
        "/proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
        "/proc/device-tree/compatible": "nvidia,p3737-0000+p3701-0005\0nvidia,p3701-0005\0nvidia,tegra234\0",
        "/etc/nv_tegra_release": RELEASE.format(36, "4.7"),
        "/proc/driver/nvidia/version": DRIVER.format("540.4.0"),
        "/usr/local/cuda/version.json": '{"cuda": {"name": "CUDA SDK", "version": "12.6.68"}}',
        "/etc/nvpmodel.conf": AGX_MODES,
        "/var/lib/nvpmodel/status": "pmode:0000",
        **memory(64_349_184, 58_000_000, "/dev/zram0 partition 2681216 0 5\n/dev/zram1 partition 2681216 0 5\n"),
        **PINNED_AGX,
        **zone("tj-thermal", 52_875, 99_000),
    },
    packages={
        "tensorrt": ("10.3.0", "cp310-none-linux_aarch64"),
        "cuda-python": ("12.6.2.post1", "cp310-cp310-manylinux_2_17_aarch64"),
        "onnxruntime": ("1.23.2", "cp310-cp310-manylinux_2_28_aarch64"),
    },
)
"""JetPack 6.2.1, everything as it should be."""

ORIN_NANO_SUPER = Machine(
    files={
        "/proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
        "/proc/device-tree/compatible": ("nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234\0"),
        "/etc/nv_tegra_release": RELEASE.format(36, "4.3"),
        "/proc/driver/nvidia/version": DRIVER.format("540.4.0"),
        "/usr/local/cuda-12.6/doc": "",
        "/usr/lib/python3.10/dist-packages/tensorrt/__init__.py": "",
        "/etc/nvpmodel.conf": NANO_MODES,
        "/var/lib/nvpmodel/status": "pmode:0000 fmode:fan_mode_quiet\n",
        **memory(7_802_496, 5_600_000, "/dev/zram0 partition 650000 0 5\n"),
        **clocks((729_600, 729_600, 1_497_600), (306_000_000, 306_000_000, 612_000_000), 2_133_000_000),
        **zone("tj-thermal", 51_000, 70_000),
    },
    desktop=True,
)
"""JetPack 6.2 as flashed: 15 W, a desktop, no swap on the disk, a virtual environment that does not see TensorRT."""

ORIN_NANO_JETPACK_7 = Machine(
    files={
        **ORIN_NANO_SUPER.files,
        "/etc/nv_tegra_release": RELEASE.format(39, "2.1"),
        "/proc/driver/nvidia/version": DRIVER.format("595.78"),
        "/usr/local/cuda/version.json": '{"cuda": {"name": "CUDA SDK", "version": "13.2.1"}}',
        "/var/lib/nvpmodel/status": "pmode:0002",
        **memory(7_664_640, 6_900_000, "/swapfile file 16777212 0 -2\n"),
        **clocks((1_728_000,) * 3, (1_020_000_000,) * 3, 3_199_000_000),
    },
    python=(3, 12, 3),
    packages={
        "tensorrt": ("10.16.2.10", "cp312-none-linux_aarch64"),
        "cuda-bindings": ("13.2.0", "cp312-cp312-manylinux_2_28_aarch64"),
    },
    target=Trial(True, "TensorRT 10.16.2.10, Orin, compute capability 8.7"),
)
"""JetPack 7.2.1 on an Orin Nano Super, as it should be."""

PC = Machine(
    files={
        "/proc/cpuinfo": "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Processor\n",
        **memory(24_684_084, 22_221_916),
    },
    architecture="x86_64",
    python=(3, 11, 7),
    packages={"onnxruntime": ("1.32.0", "cp311-cp311-manylinux_2_28_x86_64")},
)
WORKSTATION = Machine(
    files={**PC.files, "/proc/driver/nvidia/version": DRIVER.format("580.159.03").replace("aarch64", "x86_64")},
    architecture="x86_64",
    python=(3, 12, 3),
    packages={
        "tensorrt-rtx-cu13": ("1.4.0.76", "py3-none-any"),
        "cuda-bindings": ("13.2.0", "cp312-cp312-manylinux_2_28_x86_64"),
    },
    target=Trial(True, "TensorRT-RTX 1.4.0.76, NVIDIA RTX A2000, compute capability 8.6"),
)
"""A PC with a GPU and TensorRT-RTX, without ONNX Runtime."""
MACHINES = {"agx": AGX_ORIN, "nano": ORIN_NANO_SUPER, "nano7": ORIN_NANO_JETPACK_7, "pc": PC}
