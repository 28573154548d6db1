"""The audit's files: lines by day, pictures by digest. Knows what files hold as bytes alone; used by one thread.

    2026-11-27-001.jsonl    lines of one day; the next number follows when a file is large, and at each start
    pictures/ab/abcd...     a picture under its SHA-256, once, however often it was sent

Only its owner may read them. Every method raises `OSError`; what it was given is then not written, in no part.
"""

import os
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import NamedTuple

PICTURES = "pictures"


class _Open(NamedTuple):
    """The file that lines are written to."""

    file: int
    path: Path
    day: date


class Folder:
    """`part_bytes`: where a file is large enough."""

    def __init__(self, path: Path, part_bytes: int) -> None:
        self.path = path
        self._part_bytes = part_bytes
        self._open: _Open | None = None
        self._size = 0
        self._unsynced = False

    def prepare(self) -> None:
        """Make the folder if there is none, and see whether it can be written."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        trial = self.path / f".{os.getpid()}.trial"
        os.close(_create(trial, os.O_TRUNC))
        trial.unlink()

    @property
    def current(self) -> Path | None:
        """The file that lines are written to."""
        return self._open and self._open.path

    def append(self, lines: bytes, today: date) -> None:
        """Write whole lines."""
        file = self._file(today)
        try:
            _write(file, lines)
        except OSError:
            # no half of a line: what follows would be read as its end
            with suppress(OSError):
                os.ftruncate(file, self._size)
            # and what this leaves behind, if it failed too, is the last of its file
            self.close()
            raise
        self._size += len(lines)
        self._unsynced = True

    def keep(self, sha256: str, data: bytes) -> bool:
        """Store a picture; false if it was there, and then it counts as new again.

        Under its name it is whole, also after a loss of power.
        """
        path = self._picture(sha256)
        if path.exists():
            os.utime(path)
            return False
        for folder in (path.parent.parent, path.parent):
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
        partial = path.with_suffix(".partial")
        file = _create(partial, os.O_TRUNC)
        try:
            _write(file, data)
            os.fsync(file)
            partial.rename(path)
        except OSError:
            with suppress(OSError):
                partial.unlink()
            raise
        finally:
            os.close(file)
        return True

    def has(self, sha256: str) -> bool:
        """Whether the picture is stored."""
        return self._picture(sha256).exists()

    def sync(self) -> None:
        """What was written survives a loss of power from now on."""
        if self._open is not None and self._unsynced:
            os.fdatasync(self._open.file)
        self._unsynced = False

    def close(self) -> None:
        """The next line begins a new file."""
        if self._open is not None:
            with suppress(OSError):
                os.close(self._open.file)
        self._open, self._unsynced = None, False

    def _picture(self, sha256: str) -> Path:
        return self.path / PICTURES / sha256[:2] / sha256

    def _file(self, today: date) -> int:
        now = self._open
        if now is None or now.day != today or self._size >= self._part_bytes or not _is_there(now):
            self.sync()
            self.close()
            self._open, self._size = self._next(today), 0
        assert self._open is not None
        return self._open.file

    def _next(self, today: date) -> _Open:
        numbers = (path.stem.rpartition("-")[2] for path in self.path.glob(f"{today.isoformat()}-*.jsonl"))
        number = max((int(one) for one in numbers if one.isdecimal()), default=0) + 1
        path = self.path / f"{today.isoformat()}-{number:03}.jsonl"
        return _Open(_create(path, os.O_EXCL), path, today)


def _is_there(now: _Open) -> bool:
    """A file that was removed, with its folder or alone, can still be written, and is lost."""
    try:
        return os.path.samestat(os.stat(now.path), os.fstat(now.file))
    except OSError:
        return False


def _create(path: Path, how: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | how, 0o600)


def _write(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
