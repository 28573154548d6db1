"""Folders that a process uses, or writes into alone: marked by locks, which end with the process.

Use is a lock on the folder itself. Writing is one on a file in it: it must not wait for those who use the folder.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from edgevlm_export.errors import ExportError

LOCK = "lock"
"""The file of whoever writes."""


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


@contextmanager
def alone(folder: Path, advice: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """For one process at a time, however the others end; `waiting` is called once if another one is there.

    The folder is made if need be. Raises `ExportError`, which ends with `advice`, if it cannot be written or
    locked.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a")
    except OSError as error:
        raise ExportError(f"{folder} cannot be written: {error.strerror}; {advice}.") from None
    with file:
        try:
            _lock(file, waiting)
        except OSError as error:
            raise ExportError(f"{folder} cannot be locked: {error.strerror}; {advice}.") from None
        yield


def _lock(file: TextIO, waiting: Callable[[], None]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(file, fcntl.LOCK_EX)


def _opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)


def _locked_alone(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
