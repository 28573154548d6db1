"""Folders that a process uses: marked by a lock on the folder itself, so that it ends with the process."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def hold(folder: Path) -> None:
    """Mark a folder as used, until this process ends; does nothing where it is missing or cannot be locked."""
    with suppress(OSError):
        # the descriptor stays open on purpose
        fcntl.flock(_opened(folder), fcntl.LOCK_SH)
        os.utime(folder)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Mark a folder as used until the block ends, whatever its name is by then."""
    descriptor = _opened(folder)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def unused(folder: Path) -> Iterator[bool]:
    """Whether no process holds the folder; while the block runs, none can begin to. False where that is not known."""
    try:
        descriptor = _opened(folder)
    except OSError:
        yield False
        return
    try:
        yield _locked_alone(descriptor)
    finally:
        os.close(descriptor)


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


def _locked_alone(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
