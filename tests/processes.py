"""What can be seen of a process from outside, in /proc: its limits, children, memory and descriptors (Linux)."""

import os
import re
from contextlib import suppress
from pathlib import Path


def limits_of(process: int) -> dict[str, tuple[str, str]]:
    """Soft and hard limits by the names that the kernel gives them, as in `Max open files`."""
    lines = Path(f"/proc/{process}/limits").read_text().splitlines()[1:]
    columns = (re.split(r" {2,}", line) for line in lines)
    return {name: (soft, hard) for name, soft, hard, *_ in columns}


def children(parent: int | None = None) -> set[int]:
    """Processes whose parent is this one or the one given, zombies included."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == (parent or os.getpid()):
                found.add(int(entry.parent.name))
    return found
