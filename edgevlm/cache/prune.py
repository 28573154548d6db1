"""Removes folders of a cache that no process uses. Judges nothing."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from edgevlm_export.folder_lock import unused

from edgevlm.cache.entries import Entry


class Outcome(NamedTuple):
    """What became of an entry: `kept` says why it is still there, `failed` that it should not be."""

    entry: Entry
    kept: str | None = None
    failed: bool = False


def prune(entries: Iterable[Entry], *, dry_run: bool = False) -> Iterator[Outcome]:
    """Remove each entry, or with `dry_run` only find out whether it could be."""
    for entry in entries:
        yield _removed(entry, dry_run)


def _removed(entry: Entry, dry_run: bool) -> Outcome:
    try:
        with ExitStack() as locks:
            if not all(locks.enter_context(unused(folder)) for folder in _held_by_themselves(entry.path)):
                return Outcome(entry, "a running process uses it")
            if not dry_run:
                shutil.rmtree(entry.path)
    except OSError as error:
        return Outcome(entry, f"it cannot be removed: {error.strerror}", failed=True)
    return Outcome(entry)


def _held_by_themselves(path: Path) -> list[Path]:
    """The folder, and those in it: of a folder of plans, each is held by whoever runs it."""
    return [path, *(folder for folder in path.iterdir() if folder.is_dir() and not folder.is_symlink())]
