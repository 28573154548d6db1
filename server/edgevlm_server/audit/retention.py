"""How long the audit's files stay: the oldest go first, by age and by the size of all. Knows their names.

Files of other names are nobody's here: they are neither counted nor removed.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edgevlm_server.audit.folder import PICTURES

LINES = re.compile(r"\d{4}-\d\d-\d\d-\d{3,}\.jsonl")
PICTURE = re.compile(r"[0-9a-f]{64}(\.partial)?")

DAY_SECONDS = 86_400
SHARE_LEFT = 0.9
"""So much of the size stays when it was reached, so that not every further line removes a file."""


class _File(NamedTuple):
    """Sorted by time, and by name where the clock tells no difference."""

    written: float
    path: Path
    size: int


def tidy(folder: Path, now: float, days: int, most_bytes: int, current: Path | None) -> int:
    """Remove what is too old or too much, but never `current`; the bytes that are left. Raises `OSError`."""
    files = sorted(_files(folder))
    total = sum(one.size for one in files)
    limit = most_bytes if total <= most_bytes else SHARE_LEFT * most_bytes
    for one in files:
        old = one.written < now - days * DAY_SECONDS
        if (old or total > limit) and one.path != current:
            one.path.unlink(missing_ok=True)
            total -= one.size
    return total


def _files(folder: Path) -> Iterator[_File]:
    yield from _matching(folder, LINES)
    with os.scandir(folder) as entries:
        known = any(entry.name == PICTURES and entry.is_dir(follow_symlinks=False) for entry in entries)
    if known:
        with os.scandir(folder / PICTURES) as entries:
            parts = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        for part in parts:
            yield from _matching(Path(part), PICTURE)


def _matching(folder: Path, names: re.Pattern[str]) -> Iterator[_File]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if names.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                found = entry.stat(follow_symlinks=False)
                yield _File(found.st_mtime, Path(entry.path), found.st_size)
