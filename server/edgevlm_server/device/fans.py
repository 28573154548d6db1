"""Fans: how hard they are driven, and how fast they turn.

`pwmN` (0 to 255) and `fanN_input` (turns a minute) are Linux's own; `rpm` is the file of NVIDIA's tachometer, on
JetPack 6 a device beside that of the fan.
"""

import re
from dataclasses import dataclass

from edgevlm_server.device.root import HWMON, Root

MOST_PWM, MOST_RPM = 255, 100_000


@dataclass(frozen=True, slots=True)
class Fan:
    """`drive` from 0 to 1, `rpm` in turns a minute."""

    name: str
    drive: float | None
    rpm: int | None


def read_fans(root: Root) -> tuple[Fan, ...]:
    """Named after their device, and after their number where it has several."""
    fans = [fan for name in root.names(HWMON, r"hwmon\d+") for fan in _fans(root, f"{HWMON}/{name}")]
    return tuple({fan.name: fan for fan in reversed(fans)}.values())[::-1]


def _fans(root: Root, folder: str) -> list[Fan]:
    called = root.text(f"{folder}/name")
    if not called:
        return []
    files = root.names(folder, r"pwm\d+|fan\d+_input|rpm")
    numbers = list(dict.fromkeys(re.sub(r"[^0-9]", "", file) for file in files))
    fans = []
    for number in numbers:
        drive = root.number(f"{folder}/pwm{number}", 0, MOST_PWM) if number else None
        turns = root.number(f"{folder}/fan{number}_input" if number else f"{folder}/rpm", 0, MOST_RPM)
        if drive is not None or turns is not None:
            name = called if len(numbers) == 1 else f"{called}-{number}"
            fans.append(Fan(name, None if drive is None else drive / MOST_PWM, turns))
    return fans
