"""Clocks and temperatures, in Hz and degrees Celsius. Knows nothing of power modes.

The files of processors and of thermal zones are Linux's own. That Orin's GPU is `17000000.gpu` or `17000000.ga10b`
below `/sys/class/devfreq`, and that the limit of the memory's clock is in `/sys/kernel/nvpmodel_clk_cap/emc`, was
taken from what owners of devices have published, not seen on a device of ours. The memory's clock at this moment is
for root alone.
"""

import re
from dataclasses import dataclass

from edgevlm.doctor.root import Root

CPUS = "/sys/devices/system/cpu"
GPUS = "/sys/class/devfreq"
ZONES = "/sys/class/thermal"
EMC_LIMIT = "/sys/kernel/nvpmodel_clk_cap/emc"
EMC_NOW = "/sys/kernel/debug/bpmp/debug/clk/emc/rate"


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock at this moment, and between what it may move, in Hz. Pinned: it may not move at all."""

    now: int | None
    least: int | None
    most: int | None

    @property
    def pinned(self) -> bool:
        return self.least is not None and self.least == self.most


@dataclass(frozen=True, slots=True)
class Zone:
    """A sensor; `throttles_at` is where the system begins to slow down because of it."""

    name: str
    temperature: float
    throttles_at: float | None


@dataclass(frozen=True, slots=True)
class Clocks:
    """`cpu` is the processor that is pinned least; `emc` limits the memory."""

    cpu: Clock | None
    gpu: Clock | None
    emc: Clock | None
    zones: tuple[Zone, ...]


def read_clocks(root: Root) -> Clocks:
    return Clocks(_cpu(root), _gpu(root), _emc(root), tuple(_zones(root)))


def _cpu(root: Root) -> Clock | None:
    names = [name for name in root.names(CPUS) if re.fullmatch(r"cpu\d+", name)]
    clocks = [_clock(root, f"{CPUS}/{name}/cpufreq/scaling_", 1000) for name in names]
    found = [clock for clock in clocks if clock.most is not None]
    return min(found, key=lambda clock: clock.pinned, default=None)


def _gpu(root: Root) -> Clock | None:
    for name in root.names(GPUS):
        if re.search(r"\b(gpu|ga10b)\b", name):
            return _clock(root, f"{GPUS}/{name}/", 1)
    return None


def _clock(root: Root, prefix: str, unit: int) -> Clock:
    now, least, most = (root.number(f"{prefix}{which}_freq") for which in ("cur", "min", "max"))
    return Clock(*(None if value is None else unit * value for value in (now, least, most)))


def _emc(root: Root) -> Clock | None:
    limit = root.number(EMC_LIMIT)
    return Clock(root.number(EMC_NOW), None, limit) if limit else None


def _zones(root: Root) -> list[Zone]:
    zones = []
    for folder in root.names(ZONES):
        value = root.number(f"{ZONES}/{folder}/temp")
        name = root.text(f"{ZONES}/{folder}/type")
        if folder.startswith("thermal_zone") and name and value is not None:
            zones.append(Zone(name, value / 1000, _passive_trip(root, f"{ZONES}/{folder}")))
    return zones


def _passive_trip(root: Root, zone: str) -> float | None:
    """The lowest temperature at which Linux slows something down: fans turn at other ones, called active."""
    kinds = [name for name in root.names(zone) if re.fullmatch(r"trip_point_\d+_type", name)]
    passive = [name for name in kinds if root.text(f"{zone}/{name}") == "passive"]
    values = [root.number(f"{zone}/{name.removesuffix('type')}temp") for name in passive]
    return min((value / 1000 for value in values if value is not None and value > 0), default=None)
