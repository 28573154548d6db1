"""Jetson's power modes: which there are, which one is set, and which one limits least.

`nvpmodel` keeps them in `/etc/nvpmodel.conf`, as blocks that begin with `< POWER_MODEL ID=0 NAME=MAXN >`, and the one
that is set in `/var/lib/nvpmodel/status`, as `pmode:0000`. A limit of -1 or 0 is none. The formats were taken from
files that owners of devices have published, not seen on a device of ours.
"""

import re
from dataclasses import dataclass
from math import inf

from edgevlm.doctor.root import Root

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
    text = root.text(CONFIGURATION) or ""
    modes = _modes(text)
    number = _number(r"pmode:0*(\d+)", root.text(STATUS) or "")
    if number is None:
        # nobody has chosen one yet
        number = _number(r"^<\s*PM_CONFIG\s+DEFAULT=(\d+)", text)
    return Power(modes, next((mode for mode in modes if mode.number == number), None))


def _modes(text: str) -> tuple[Mode, ...]:
    heads = list(re.finditer(r"^<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+?)\s*>", text, re.MULTILINE))
    modes = []
    for head in heads:
        block = text[head.end() :].partition("\n<")[0]
        modes.append(Mode(int(head[1]), head[2], _limit(block, "EMC"), _limit(block, "GPU")))
    return tuple(modes)


def _limit(block: str, what: str) -> int | None:
    value = _number(rf"^{what}\s+MAX_FREQ\s+(-?\d+)", block)
    return value if value is not None and value > 0 else None


def _number(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text, re.MULTILINE)
    return int(found[1]) if found else None
