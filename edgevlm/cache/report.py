"""A cache as text: what is in it, and what became of it. Knows no files."""

import time
from collections.abc import Sequence
from pathlib import Path

from edgevlm_engines import size_text

from edgevlm.cache.entries import Entry
from edgevlm.cache.prune import Outcome

COLUMNS = ("name", "kind", "size", "made by", "last used", "usable by this version")


def listed(entries: Sequence[Entry], folder: Path) -> str:
    """A table in Markdown, and what `prune` would free; names are relative to the folder."""
    if not entries:
        return f"{folder} is empty."
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(_cells(entry, folder) for entry in entries)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    useless = sum(entry.size for entry in entries if entry.useless)
    hint = f", of which 'edgevlm cache prune' would free {size_text(useless)}" if useless else ""
    return f"In {folder}:\n\n{table}\n\n{size_text(sum(entry.size for entry in entries))}{hint}."


def outcome_text(outcome: Outcome, folder: Path, *, dry_run: bool) -> str:
    """One line."""
    entry = outcome.entry
    name = f"{_name(entry, folder)} ({size_text(entry.size)})"
    if outcome.kept:
        return f"Kept {name}: {outcome.kept}."
    because = f": {entry.useless}" if entry.useless else ""
    return f"{'Would remove' if dry_run else 'Removed'} {name}{because}."


def freed_text(outcomes: Sequence[Outcome], *, dry_run: bool) -> str:
    """The sum of what is gone, or would be."""
    size = sum(outcome.entry.size for outcome in outcomes if not outcome.kept)
    return f"{'Would free' if dry_run else 'Freed'} {size_text(size)}."


def _cells(entry: Entry, folder: Path) -> tuple[str, ...]:
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
    of_use = f"no: {entry.useless}" if entry.useless else "yes"
    return (_name(entry, folder), entry.kind, size_text(entry.size), entry.made_by, used, of_use)


def _name(entry: Entry, folder: Path) -> str:
    return str(entry.path.relative_to(folder) if entry.path.is_relative_to(folder) else entry.path)
