"""Temperatures in degrees Celsius, and what slows the machine down because of them or of too much current.

Zones, trip points and cooling devices are Linux's own. The counters of undervoltage (oc1) and of average (oc2) and
instantaneous (oc3) overcurrent are those of an Orin's `soctherm_oc`, after NVIDIA's driver and owners' reports.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from edgevlm_server.device.root import HWMON, Root

ZONES = "/sys/class/thermal"

COLDEST, HOTTEST = -100_000, 250_000
"""Thousandths of a degree; a sensor of an Orin that is off may say -256000."""

SLOWS = re.compile(r".*-alert|cpufreq-.*|devfreq-.*|thermal-(cpufreq|devfreq)-.*|Processor")
"""Cooling devices that take speed away. The others are fans, and settings of a PC that are never 0."""


@dataclass(frozen=True, slots=True)
class Trip:
    """Where something happens: `active` turns a fan, `passive` slows down, `critical` switches off."""

    kind: str
    temperature: float


@dataclass(frozen=True, slots=True)
class Zone:
    """A sensor, and its trip points from the coldest."""

    name: str
    temperature: float
    trips: tuple[Trip, ...] = ()

    @property
    def throttles_at(self) -> float | None:
        """Where the system begins to slow down because of it."""
        return min((trip.temperature for trip in self.trips if trip.kind == "passive"), default=None)


@dataclass(frozen=True, slots=True)
class Cooler:
    """Something that cools: a fan, or a part that is slowed down. `state` is 0 if it does nothing, at most `most`."""

    name: str
    state: int
    most: int | None
    slows: bool

    @property
    def throttling(self) -> bool:
        return self.slows and self.state > 0


@dataclass(frozen=True, slots=True)
class Overcurrent:
    """How often since the machine's start one of its lines has slowed it down."""

    line: str
    events: int


def read_zones(root: Root) -> tuple[Zone, ...]:
    zones = []
    for name, path in _named(root, r"thermal_zone\d+"):
        value = root.number(f"{path}/temp", COLDEST, HOTTEST)
        if value is not None:
            zones.append(Zone(name, value / 1000, _trips(root, path)))
    return tuple(zones)


def read_coolers(root: Root) -> tuple[Cooler, ...]:
    coolers = []
    for name, path in _named(root, r"cooling_device\d+"):
        state = root.number(f"{path}/cur_state", -1)
        if state is not None:
            slows = SLOWS.fullmatch(root.text(f"{path}/type") or "") is not None
            coolers.append(Cooler(name, state, root.number(f"{path}/max_state", 0), slows))
    return tuple(coolers)


def read_overcurrent(root: Root) -> tuple[Overcurrent, ...]:
    found = []
    for folder in root.names(HWMON, r"hwmon\d+"):
        for name in root.names(f"{HWMON}/{folder}", r"oc\d+_event_cnt"):
            events = root.number(f"{HWMON}/{folder}/{name}", 0)
            if events is not None:
                found.append(Overcurrent(name.partition("_")[0], events))
    return tuple(found)


def _trips(root: Root, zone: str) -> tuple[Trip, ...]:
    """A temperature of 0 or below is one that was never set."""
    trips = []
    for name in root.names(zone, r"trip_point_\d+_type"):
        kind, value = root.text(f"{zone}/{name}"), root.number(f"{zone}/{name.removesuffix('type')}temp")
        if kind and value is not None and 0 < value <= HOTTEST:
            trips.append(Trip(kind, value / 1000))
    return tuple(sorted(trips, key=lambda trip: trip.temperature))


def _named(root: Root, pattern: str) -> Iterator[tuple[str, str]]:
    """Name and folder of each; two may have one name, which labels may not: the later ones carry their number."""
    seen = set()
    for folder in root.names(ZONES, pattern):
        name = root.text(f"{ZONES}/{folder}/type")
        if name:
            yield f"{name}-{re.sub(r'[^0-9]', '', folder)}" if name in seen else name, f"{ZONES}/{folder}"
            seen.add(name)
