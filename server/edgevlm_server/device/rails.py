"""What the module takes, in watts, from its INA3221 sensors. Knows no energy.

Linux documents the driver: `in1_label` to `in3_label` name the rails, `inN_input` is in mV and `currN_input` in mA;
channel 7 is a sum. Labels are the device tree's: an Orin Nano and NX have VDD_IN for the whole module; an AGX Orin
has no such rail, and its parts are added up.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from edgevlm_server.device.root import HWMON, Root

WHOLE = "VDD_IN"
PARTS = {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"}
"""The rails of an AGX Orin. We do not know whether the third feeds the fourth: then their sum is too large."""
NOT_CONNECTED = "NC"
MOST_MILLIVOLTS, MOST_MILLIAMPERES = 100_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Rail:
    """`watts` is `None` if the sensor did not answer."""

    name: str
    watts: float | None


def read_rails(root: Root) -> tuple[Rail, ...]:
    """All that are connected."""
    return tuple(Rail(name, _watts(root, *files)) for name, *files in _find(root))


def has_total(root: Root) -> bool:
    """Whether the whole module's watts can be known, without asking the sensors."""
    return bool(_whole([name for name, *_ in _find(root)]))


def read_total(root: Root) -> float | None:
    """The whole module's watts, with as few questions to the sensors as will do."""
    found = _find(root)
    wanted = _whole([name for name, *_ in found])
    return total(tuple(Rail(name, _watts(root, *files)) for name, *files in found if name in wanted))


def total(rails: tuple[Rail, ...]) -> float | None:
    """The whole module's watts. Parts are not added up if one of them is missing: the sum would be too small."""
    wanted = _whole([rail.name for rail in rails])
    return sum_of_all([rail.watts for rail in rails if rail.name in wanted])


def sum_of_all(values: Collection[float | None]) -> float | None:
    """`None` if one of them is missing, or there are none."""
    known = [one for one in values if one is not None]
    return sum(known) if known and len(known) == len(values) else None


def _whole(names: list[str]) -> set[str]:
    """Which rails make up the whole module; none if they do not."""
    if WHOLE in names:
        return {WHOLE}
    return PARTS if set(names) >= PARTS else set()


def _find(root: Root) -> list[tuple[str, str, str]]:
    """Name, file of mV and file of mA of each rail; those that are switched off are none."""
    found: dict[str, tuple[str, str, str]] = {}
    for folder in (f"{HWMON}/{name}" for name in root.names(HWMON, r"hwmon\d+")):
        if root.text(f"{folder}/name") != "ina3221":
            continue
        for label in root.names(folder, r"in[123]_label"):
            name, number = root.text(f"{folder}/{label}"), re.sub(r"[^0-9]", "", label)
            if name and name != NOT_CONNECTED and root.text(f"{folder}/in{number}_enable") != "0":
                found.setdefault(name, (name, f"{folder}/in{number}_input", f"{folder}/curr{number}_input"))
    return list(found.values())


def _watts(root: Root, volts: str, amperes: str) -> float | None:
    millivolts, milliamperes = root.number(volts, 0, MOST_MILLIVOLTS), root.number(amperes, 0, MOST_MILLIAMPERES)
    return None if millivolts is None or milliamperes is None else millivolts * milliamperes / 1e6
