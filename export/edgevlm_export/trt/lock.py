"""One process at a time writes into a folder of plans, or of bundles. Knows neither."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from edgevlm_export.errors import ExportError

LOCK = "lock"


@contextmanager
def plan_lock(
    folder: Path, waiting: Callable[[], None] = lambda: None, advice: str = "choose another folder with --plans"
) -> Iterator[None]:
    """Held by one process at a time, however the others end; `waiting` is called once if another one holds it.

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
