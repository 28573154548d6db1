"""TensorRT's messages in Python's log, for the runtime and the builder. Knows no engines.

One object for the process: TensorRT keeps the first logger that it is given and passes nothing to later ones.
"""

import logging
from collections import deque

import tensorrt

log = logging.getLogger(__name__)

KEPT = 1000


class Log(tensorrt.ILogger):
    """Keeps warnings and errors too, to be told or judged by; `clear` forgets them before something new begins."""

    def __init__(self) -> None:
        tensorrt.ILogger.__init__(self)
        self.lines: deque[str] = deque(maxlen=KEPT)
        self._complaint = ""

    def log(self, severity: tensorrt.ILogger.Severity, message: str) -> None:
        """Called by TensorRT, from any thread."""
        if severity <= tensorrt.ILogger.ERROR:
            # what comes after the first error mostly follows from it
            self._complaint = self._complaint or message
            log.error("TensorRT: %s", message)
        elif severity == tensorrt.ILogger.WARNING:
            log.info("TensorRT: %s", message)
        if severity <= tensorrt.ILogger.WARNING:
            self.lines.append(message)
        elif severity == tensorrt.ILogger.INFO:
            log.debug("TensorRT: %s", message)

    def clear(self) -> None:
        self.lines.clear()
        self._complaint = ""

    @property
    def complaint(self) -> str:
        """The first error since `clear`, as part of a sentence; `it does not say why` if there was none."""
        return one_line(self._complaint) or "it does not say why"


def one_line(text: str) -> str:
    """A message of TensorRT's without line breaks and without its full stop."""
    return " ".join(text.split()).rstrip(".!")


LOG = Log()
