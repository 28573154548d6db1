"""A process's memory, descriptors, threads and children, and whether they stay bounded. Reads /proc (Linux)."""

import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.processes import children

GROWTH_BYTES = 16 << 20
"""More than the allocator's own ups and downs; a leak of 10 KB a request makes as much within 1,700 requests."""


class Reading(NamedTuple):
    """`memory` is the resident one, in bytes. Children are counted, not measured."""

    memory: int
    descriptors: int
    threads: int
    children: int


def read(process: int) -> Reading:
    folder = Path(f"/proc/{process}")
    fields = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return Reading(
        memory=int(fields["VmRSS"].split()[0]) << 10,
        descriptors=len(os.listdir(folder / "fd")),
        threads=int(fields["Threads"]),
        children=len(children(process)),
    )


def fifths(readings: Sequence[Reading]) -> list[int]:
    """The median of memory in each fifth of the time, in bytes."""
    length = max(1, len(readings) // 5)
    pieces = (readings[index * length : (index + 1) * length] for index in range(5))
    return [int(statistics.median(one.memory for one in piece)) for piece in pieces if piece]


def growth(readings: Sequence[Reading]) -> int:
    """Bytes of memory from the second fifth of the time to the last: the first is the warm-up."""
    memory = fifths(readings)
    return memory[-1] - memory[min(1, len(memory) - 1)]


def unbounded(readings: Sequence[Reading], before: Reading, after: Reading) -> list[str]:
    """A sentence for each that grew: memory during the load; descriptors, threads and children with nobody inside.

    `before` is read when every kind of request has been answered once.
    """
    found = []
    if (more := growth(readings)) > GROWTH_BYTES:
        found.append(f"memory grew by {more / 2**20:.1f} MiB between the second fifth of the time and the last")
    if after.descriptors > before.descriptors + 2:
        found.append(f"descriptors: {after.descriptors}, {before.descriptors} before")
    if after.threads > before.threads:
        found.append(f"threads: {after.threads}, {before.threads} before")
    if after.children > before.children:
        found.append(f"children: {after.children}, {before.children} before")
    return found
