"""How much memory this process may hold, as Linux tells it. Knows files of /proc and of control groups, no models."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple


class _Names(NamedTuple):
    """Files of a control group, and the lines of its `memory.stat` that count file pages."""

    limit: str
    used: str
    file_pages: tuple[str, str]


_V1 = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file"))
_V2 = _Names("memory.max", "memory.current", ("inactive_file", "active_file"))


def available_memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that this process may hold in all, with what it holds already; `None` where the system does not say.

    The least of what the machine has left and of what each control group around the process has left. File pages
    count as free: the system drops them before it ends a process.
    """
    machine = _fields(proc / "meminfo").get("MemAvailable")
    if machine is None:
        return None
    groups = (_left(folder, names) for folder, names in _groups(proc / "self" / "cgroup", cgroups))
    own = _fields(proc / "self" / "status").get("RssAnon", 0)
    return min([1024 * machine, *(left for left in groups if left is not None)]) + 1024 * own


def installed_memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that this process could hold if it were alone; `None` where the system does not say."""
    machine = _fields(proc / "meminfo").get("MemTotal")
    if machine is None:
        return None
    groups = (_limit(folder, names) for folder, names in _groups(proc / "self" / "cgroup", cgroups))
    return min([1024 * machine, *(limit for limit in groups if limit is not None)])


def _groups(membership: Path, cgroups: Path) -> Iterator[tuple[Path, _Names]]:
    """Folders of the groups that hold the process, from the outermost on, for both versions of control groups."""
    for line in _lines(membership):
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from ((folder, _V2) for folder in _folders_down_to(cgroups, path))
        elif "memory" in controllers.split(","):
            yield from ((folder, _V1) for folder in _folders_down_to(cgroups / "memory", path))


def _folders_down_to(root: Path, path: str) -> Iterator[Path]:
    """The root and every folder from there down to a group. In a container the group may lie outside of the root."""
    yield root
    parts = PurePosixPath(path).parts[1:]
    if ".." not in parts:
        for part in parts:
            root /= part
            yield root


def _left(group: Path, names: _Names) -> int | None:
    """Bytes that a group may still take; `None` for a group without a limit, or that cannot be read."""
    limit, used = _limit(group, names), _number(group / names.used)
    if limit is None or used is None:
        return None
    pages = _fields(group / "memory.stat")
    return max(0, limit - used + sum(pages.get(name, 0) for name in names.file_pages))


def _limit(group: Path, names: _Names) -> int | None:
    return _number(group / names.limit)


def _number(path: Path) -> int | None:
    """`None` for a file with anything else, or none at all."""
    text = "".join(_lines(path))
    return int(text) if text.isdecimal() else None


def _fields(path: Path) -> dict[str, int]:
    """Names and numbers, one pair a line; a unit after the number is left out."""
    words = (line.replace(":", " ").split() for line in _lines(path))
    return {word[0]: int(word[1]) for word in words if len(word) > 1 and word[1].isdecimal()}


def _lines(path: Path) -> list[str]:
    """No lines if there is no such file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
