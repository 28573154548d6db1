"""Energy in joules: power, asked once a second by a thread of its own, and summed over time. Knows no sensors.

Counts everything that the power's source counts, idle time included. A gap in which no power was known adds nothing.
"""

import threading
import time
from collections.abc import Callable

INTERVAL = 1.0
"""Seconds between two questions: a question takes well under a millisecond of processor time."""

CLOSE_SECONDS = 1.0
"""How long closing waits for a question under way."""


class EnergyMeter:
    """`watts` gives the power at this moment, or `None`; it is called from the meter's thread alone."""

    def __init__(self, watts: Callable[[], float | None], interval: float = INTERVAL) -> None:
        self._watts = watts
        self._interval = interval
        self._last: tuple[float, float] | None = None
        self._joules: float | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edgevlm-energy", daemon=True)

    def joules(self) -> float | None:
        """Since the start; `None` as long as power has never been known."""
        return self._joules

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Ends the thread; one that waits for a sensor that hangs ends with the process."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def add(self, now: float, watts: float | None) -> None:
        """Count the time since the last known power, at the mean of both. `now` in seconds of any steady clock."""
        if watts is None:
            self._last = None
            return
        joules = self._joules or 0.0
        if self._last is not None:
            then, before = self._last
            joules += (now - then) * (before + watts) / 2
        self._joules, self._last = joules, (now, watts)

    def _run(self) -> None:
        while not self._closing.is_set():
            self.add(time.monotonic(), self._watts())
            self._closing.wait(self._interval)
