"""Clocks in Hz, and the load of a Jetson's GPU. Knows nothing of power modes.

The files of processors are Linux's own. Orin's GPU is `17000000.ga10b` or `17000000.gpu` below `/sys/class/devfreq`;
JetPack 7 on a Thor calls it `gpu-gpc-0`, and its memory `bwmgr`. The limit of the memory's clock is in
`/sys/kernel/nvpmodel_clk_cap/emc`; on JetPack 6 its clock at this moment is for root alone. All of that was taken
from NVIDIA's documentation and from what owners of devices have published, not seen on a device of ours.
"""

import re
from dataclasses import dataclass

from edgevlm_server.device.root import Root

POLICIES = "/sys/devices/system/cpu/cpufreq"
DEVFREQ = "/sys/class/devfreq"
EMC_LIMIT = "/sys/kernel/nvpmodel_clk_cap/emc"
EMC_NOW = "/sys/kernel/debug/bpmp/debug/clk/emc/rate"

GPU_NAME = re.compile(r"(ga10b|gpu(-gpc-\d+)?)")
EMC_NAME = re.compile(r"(bwmgr|emc)")
MOST_HERTZ = 100_000_000_000


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock at this moment, and between what it may move, in Hz. Pinned: it may not move at all.

    `name` is `emc` for the memory, `gpu0` for a GPU, and `cpu4` for the processors that share a clock with the fifth.
    """

    name: str
    now: int | None
    least: int | None
    most: int | None

    @property
    def pinned(self) -> bool:
        return self.least is not None and self.least == self.most


@dataclass(frozen=True, slots=True)
class Gpu:
    """`load` from 0 to 1; memory in bytes. On a Jetson `memory_total` is `None`: the GPU uses the system's memory."""

    name: str
    load: float | None
    memory_used: int | None
    memory_total: int | None


def read_clocks(root: Root) -> tuple[Clock, ...]:
    found = [*_cpus(root), _gpu(root), _emc(root)]
    return tuple(clock for clock in found if clock and (clock.now, clock.most) != (None, None))


def read_gpu(root: Root, memory_used: int | None) -> Gpu | None:
    """A Jetson's GPU; `memory_used` is what the system says about it."""
    folder = _devfreq(root, GPU_NAME)
    if folder is None:
        return None
    load = root.number(f"{folder}/device/load", 0, 1000)
    return Gpu("gpu0", None if load is None else load / 1000, memory_used, None)


def _cpus(root: Root) -> list[Clock]:
    return [
        _clock(root, name.replace("policy", "cpu"), f"{POLICIES}/{name}/scaling_", 1000)
        for name in root.names(POLICIES, r"policy\d+")
    ]


def _gpu(root: Root) -> Clock | None:
    folder = _devfreq(root, GPU_NAME)
    return _clock(root, "gpu0", f"{folder}/") if folder else None


def _emc(root: Root) -> Clock | None:
    """Where the system has neither a limit nor a device for it, root's file is not looked for: a PC has none."""
    folder = _devfreq(root, EMC_NAME)
    if folder:
        return _clock(root, "emc", f"{folder}/")
    limit = root.number(EMC_LIMIT, 0, MOST_HERTZ)
    return Clock("emc", root.number(EMC_NOW, 0, MOST_HERTZ), None, limit) if limit else None


def _devfreq(root: Root, wanted: re.Pattern[str]) -> str | None:
    """By the device's name behind its address, or by its name in the device tree, which a container does not see."""
    for name in root.names(DEVFREQ):
        called = name.rpartition(".")[2]
        if wanted.fullmatch(called) or wanted.fullmatch(root.text(f"{DEVFREQ}/{name}/device/of_node/name") or ""):
            return f"{DEVFREQ}/{name}"
    return None


def _clock(root: Root, name: str, prefix: str, unit: int = 1) -> Clock:
    files = (f"{prefix}{which}_freq" for which in ("cur", "min", "max"))
    values = (root.number(file, 0, MOST_HERTZ / unit) for file in files)
    return Clock(name, *(None if value is None else unit * value for value in values))
