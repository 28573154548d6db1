"""Jetson's power modes: which there are, which one is set, and which one limits least.

`nvpmodel` keeps them in `/etc/nvpmodel.conf`, as blocks that begin with `< POWER_MODEL ID=0 NAME=MAXN >`, and the one
that is set in `/var/lib/nvpmodel/status`, as `pmode:0000`. A limit of -1 or 0 is none. The formats were taken from
files that owners of devices have published, not seen on a device of ours.
"""

import re
from dataclasses import dataclass
from math import inf

from edgevlm_server.device.root import Root

CONFIGURATION = "/etc/nvpmodel.conf"
STATUS = "/var/lib/nvpmodel/status"


@dataclass(frozen=True, slots=True)
class Mode:
    """Limits in Hz, `None` if the mode sets none: `emc` of the memory, `gpu` of the GPU."""

    number: int
    name: str
    emc: int | None
    gpu: int | None

    def rank(self) -> tuple[float, float]:
        """What decides a token's time comes first: reading memory. Numbers of modes say nothing about speed."""
        return (inf if self.emc is None else self.emc, inf if self.gpu is None else self.gpu)


@dataclass(frozen=True, slots=True)
class PowerMode:
    """The mode that is set; its name is `None` where the file with the names is not seen, as in a container."""

    number: int
    name: str | None


@dataclass(frozen=True, slots=True)
class Power:
    """`active` is `None` where the system does not say; then the mode is that of the last start."""

    modes: tuple[Mode, ...]
    active: Mode | None

    @property
    def best(self) -> Mode | None:
        """The mode that limits least; the one that is set, if none limits less."""
        found = max(self.modes, key=Mode.rank, default=None)
        if found and self.active and self.active.rank() == found.rank():
            return self.active
        return found


def read_power(root: Root) -> Power:
    modes, number = _read_modes(root), _read_number(root)
    return Power(modes, next((mode for mode in modes if mode.number == number), None))


def read_mode(root: Root) -> PowerMode | None:
    """The mode that is set, known or not; `None` where there are no modes."""
    number, active = _read_number(root), read_power(root).active
    return None if number is None else PowerMode(number, active.name if active else None)


def _read_number(root: Root) -> int | None:
    number = _status(root)
    if number is not None:
        return number
    # nobody has chosen one yet
    return _number(r"^<\s*PM_CONFIG\s+DEFAULT=(\d{1,4})\b", root.text(CONFIGURATION) or "")


def _status(root: Root) -> int | None:
    text = root.text(STATUS)
    number = _number(r"pmode:0*(\d{1,4})\b", text or "")
    if text and number is None:
        root.leave_out(STATUS, "names no power mode")
    return number


def _read_modes(root: Root) -> tuple[Mode, ...]:
    text = root.text(CONFIGURATION)
    modes = _modes(text or "")
    if text and not modes:
        root.leave_out(CONFIGURATION, "lists no power modes")
    return modes


def _modes(text: str) -> tuple[Mode, ...]:
    heads = list(re.finditer(r"^<\s*POWER_MODEL\s+ID=(\d{1,4})\s+NAME=(\S+?)\s*>", text, re.MULTILINE))
    modes = []
    for head in heads:
        block = text[head.end() :].partition("\n<")[0]
        modes.append(Mode(int(head[1]), head[2], _limit(block, "EMC"), _limit(block, "GPU")))
    return tuple(modes)


def _limit(block: str, what: str) -> int | None:
    value = _number(rf"^{what}\s+MAX_FREQ\s+(-?\d{{1,15}})\b", block)
    return value if value is not None and value > 0 else None


def _number(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text, re.MULTILINE)
    return int(found[1]) if found else None
