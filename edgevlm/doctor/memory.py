"""Memory, swap, free disk and edgevlm's cache, in bytes. Formats are Linux's own, seen on a PC."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from edgevlm_engines import available_memory
from edgevlm_server.device.memory import read_memory as read_meminfo
from edgevlm_server.device.root import Root

from edgevlm.cache.entries import cached


@dataclass(frozen=True, slots=True)
class Memory:
    """`available` is what a new process may hold; `swap` is on a disk, `zram` in memory itself, packed."""

    total: int | None
    available: int | None
    swap: int
    zram: int


@dataclass(frozen=True, slots=True)
class Disk:
    """What is free where TensorRT's plans would lie."""

    folder: Path
    free: int | None


@dataclass(frozen=True, slots=True)
class Cache:
    """What edgevlm keeps for itself, and how much of it this version can never use."""

    folder: Path
    size: int
    useless: int


def read_memory(root: Root) -> Memory:
    swaps = [line.split() for line in root.lines("/proc/swaps")[1:]]
    sizes = [(words[0], 1024 * int(words[2])) for words in swaps if len(words) > 2 and words[2].isdecimal()]
    packed = sum(size for name, size in sizes if "/zram" in name)
    return Memory(
        total=read_meminfo(root).total,
        available=available_memory(root.path("/proc"), root.path("/sys/fs/cgroup")),
        swap=sum(size for _, size in sizes) - packed,
        zram=packed,
    )


def read_disk(folder: Path) -> Disk:
    """Of the nearest folder that is there."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    try:
        return Disk(folder, shutil.disk_usage(folder).free)
    except OSError:
        return Disk(folder, None)


def read_cache(folder: Path) -> Cache:
    """Plans count as usable whatever they were built for: TensorRT is not asked."""
    try:
        entries = list(cached(folder, target=None))
    except OSError:
        entries = []
    return Cache(
        folder,
        size=sum(entry.size for entry in entries),
        useless=sum(entry.size for entry in entries if entry.useless),
    )
