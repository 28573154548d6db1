"""Lines of the log, written by a thread, those of a tenth of a second together. Knows no message and no form.

A line that is made and written where it comes about takes the interpreter from the event loop and the batcher between
two steps of the engine; many in a row cost less. Warnings and what is worse are written at once, behind all that came
before them.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

GATHER_SECONDS = 0.1
MOST_LINES = 10_000
"""That may wait while whoever reads the log takes none."""
END_SECONDS = 2.0
"""How long the last lines are waited for."""


class GatheringHandler(logging.StreamHandler[TextIO]):
    """For standard error. What waits is written when logging is shut down, too."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._waiting: deque[logging.LogRecord] = deque()
        self._lost = 0
        self._ended = False
        self._some = threading.Event()
        # to close is to flush, too
        self._writing = threading.RLock()
        threading.Thread(target=self._run, name="edgevlm-log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        if len(self._waiting) < MOST_LINES:
            self._waiting.append(record)
        else:
            self._lost += 1
        if record.levelno >= logging.WARNING or self._ended:
            self.flush()
        else:
            self._some.set()

    def flush(self) -> None:
        """Write all that waits. Blocks."""
        with self._writing:
            lines = []
            while self._waiting:
                lines += self._line(self._waiting.popleft())
            if self._lost:
                lost, self._lost = self._lost, 0
                text = "%d lines of the log were lost: nobody took them in time."
                lines += self._line(logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (lost,), None))
            if not lines:
                return
            try:
                self.stream.write("".join(lines))
                self.stream.flush()
            except (OSError, ValueError):
                # a full disk, or a stream that is closed at the end: nowhere is left to say it
                return

    def close(self) -> None:
        """From now on the thread writes nothing: Python cannot end while one writes to standard error."""
        with self._writing:
            self.flush()
            self._ended = True
        super().close()

    def _line(self, record: logging.LogRecord) -> list[str]:
        try:
            return [self.format(record) + self.terminator]
        except Exception:
            self.handleError(record)
            return []

    def _run(self) -> None:
        while not self._ended:
            self._some.wait()
            time.sleep(GATHER_SECONDS)
            self._some.clear()
            with self._writing:
                if not self._ended:
                    self.flush()


def write_rest(close: Callable[[], None]) -> bool:
    """Let `close` write what waits; false where nobody takes it in time, and Python's own end would wait for ever."""
    closing = threading.Thread(target=close, name="edgevlm-log-end", daemon=True)
    closing.start()
    closing.join(END_SECONDS)
    return not closing.is_alive()
