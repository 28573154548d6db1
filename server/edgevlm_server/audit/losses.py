"""What the audit could not write: counted, and said in the log and in the audit. Knows no files."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping

from edgevlm_server.observe.labels import Audited
from edgevlm_server.observe.metrics import Metrics

log = logging.getLogger(__name__)

SAY_SECONDS = 60.0
"""No more than one line in the log in so long."""


class Losses:
    """Safe from any thread."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lock = threading.Lock()
        self._unwritten: Counter[str] = Counter()
        self._unsaid: Counter[str] = Counter()
        self._said_at: float | None = None

    def add(self, kind: Audited, reason: str, count: int = 1) -> None:
        """So many were dropped; the reason is one sentence."""
        self._metrics.audit_dropped.labels(kind).inc(count)
        with self._lock:
            self._unwritten[kind] += count
            self._unsaid[kind] += count
            now = time.monotonic()
            if self._said_at is not None and now - self._said_at < SAY_SECONDS:
                return
            self._said_at, said, self._unsaid = now, self._unsaid, Counter()
        log.error("The audit lost %s: %s", _words(said), reason)

    def take(self) -> Mapping[str, int]:
        """All since the last time, for a line in the audit."""
        with self._lock:
            taken, self._unwritten = self._unwritten, Counter()
        return taken

    def put_back(self, taken: Mapping[str, int]) -> None:
        """The line could not be written."""
        with self._lock:
            self._unwritten.update(taken)


def _words(said: Mapping[str, int]) -> str:
    return " and ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in sorted(said.items()))
