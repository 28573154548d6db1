"""Memory of the machine in bytes, from `/proc/meminfo`. Knows no limits of containers.

On a Jetson the GPU uses the same memory. L4T's kernel adds `NvMapMemUsed`, what NVIDIA's drivers hold for it, as a
part of what is used. What the firmware keeps for itself (carve-outs) is not in `MemTotal`, and we know of no file
that a user may read and that says how much it is.
"""

import re
from dataclasses import dataclass

from edgevlm_server.device.root import Root

MEMINFO = "/proc/meminfo"


@dataclass(frozen=True, slots=True)
class Memory:
    """`available` is what new work may take; `gpu` is the part of `used` that is held for a Jetson's GPU."""

    total: int | None
    available: int | None
    gpu: int | None

    @property
    def used(self) -> int | None:
        return None if self.total is None or self.available is None else max(0, self.total - self.available)


def read_memory(root: Root) -> Memory:
    sizes = dict(_sizes(root.text(MEMINFO) or ""))
    return Memory(sizes.get("MemTotal"), sizes.get("MemAvailable"), sizes.get("NvMapMemUsed"))


def _sizes(text: str) -> list[tuple[str, int]]:
    lines = re.findall(r"^(\w+):\s+(\d{1,15}) kB$", text, re.MULTILINE | re.ASCII)
    return [(name, 1024 * int(size)) for name, size in lines]
