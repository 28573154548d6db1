"""A progress bar on a terminal, a line at the start elsewhere. Knows amounts, not what they are of."""

import logging
import sys
import time

from edgevlm_export.bundle_writer import Progress
from tqdm import tqdm

log = logging.getLogger(__name__)

QUIET_SECONDS = 20


class Bar(Progress):
    """Shows how much of a known amount is done: bytes, or `unit`s."""

    def __init__(self, title: str, unit: str | None = None) -> None:
        self._title = title
        self._unit = unit
        self._bar: tqdm[None] | None = None

    def start(self, total: int) -> None:
        if sys.stderr.isatty():
            bytes_too = self._unit is None
            self._bar = tqdm(
                total=total, desc=self._title, unit=self._unit or "B", unit_scale=bytes_too, unit_divisor=1024
            )
        else:
            amount = f"{total / 2**20:.1f} MiB" if self._unit is None else f"{total} {self._unit}s"
            print(f"{self._title}: {amount}", file=sys.stderr)

    def advance(self, count: int) -> None:
        if self._bar is not None:
            self._bar.update(count)

    def finish(self) -> None:
        if self._bar is not None:
            self._bar.close()


class Lines(Progress):
    """Lines in the log for what takes minutes, as it goes on: one in twenty seconds at most, and one at the end."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._total = self._done = 0

    def start(self, total: int) -> None:
        self._total, self._began = total, time.monotonic()
        self._told = self._began
        log.info("%s: started.", self._title)

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._told >= QUIET_SECONDS:
            self._told = now
            per_cent = 100 * self._done // self._total
            log.info("%s: %d %% after %.0f s.", self._title, per_cent, now - self._began)

    def finish(self) -> None:
        log.info("%s: done after %.0f s.", self._title, time.monotonic() - self._began)
