"""Time, memory and what is read from disk. Knows no engines. Linux only."""

import os
import re
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BLOCK = 1 << 20
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations in seconds of the same call, again and again."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.seconds)

    @property
    def minimum(self) -> float:
        return min(self.seconds)

    @property
    def maximum(self) -> float:
        return max(self.seconds)


def timed(call: Callable[[int], object], repeats: int, *, warm_up: int = 1) -> Timing:
    """Durations of `call(0)`, `call(1)`, ... after the first `warm_up` calls, which are not counted."""
    seconds = []
    for index in range(warm_up + repeats):
        start = time.perf_counter()
        call(index)
        seconds.append(time.perf_counter() - start)
    return Timing(tuple(seconds[warm_up:]))


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes of a process: at this moment and at most so far. Mapped files count where they were touched."""

    now: int
    peak: int


def memory(process: int | None = None) -> Memory:
    """Of this process or another one.

    Not `ru_maxrss`: that begins with what the parent held when it started the child.
    """
    text = Path(f"/proc/{process or 'self'}/status").read_text()
    now, peak = (re.search(rf"^{field}:\s*(\d+) kB$", text, re.MULTILINE) for field in ("VmRSS", "VmHWM"))
    # a process that has just ended has no memory left
    return Memory(1024 * int(now[1]), 1024 * int(peak[1])) if now and peak else Memory(0, 0)


def forget(files: Iterable[Path]) -> None:
    """Drop files from the page cache, so that the next reading comes from the disk."""
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_once(files: Iterable[Path]) -> float:
    """Seconds to read all bytes of the files from front to back into one small buffer."""
    buffer = bytearray(BLOCK)
    start = time.perf_counter()
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return time.perf_counter() - start


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ended well: all that it printed, and its largest memory in bytes."""

    output: str
    peak_memory: int


class CommandFailed(RuntimeError):
    """A command's exit code, the negative number of a signal that killed it, and its last words."""

    def __init__(self, command: str, code: int, output: str) -> None:
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        super().__init__(f"{output[-4000:].rstrip()}\n{command} {how}.".lstrip())
        self.code = code


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Finished:
    """Run a command to its end and watch its memory. Raises `CommandFailed` if it fails."""
    peak = 0
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
        with subprocess.Popen(command, env=environment, **streams) as process:
            while process.poll() is None:
                peak = max(peak, memory(process.pid).peak)
                time.sleep(POLL_SECONDS)
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise CommandFailed(Path(command[0]).name, process.returncode, text)
    return Finished(text, peak)
