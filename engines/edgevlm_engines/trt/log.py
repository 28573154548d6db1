"""TensorRT's messages in Python's log, for the runtime and the builder. Knows no engines."""

import logging
from collections import deque
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorrt

log = logging.getLogger(__name__)

KEPT = 1000


class Log:
    """Keeps warnings and errors too, to be told or judged by; `clear` forgets them before something new begins."""

    def __init__(self, module: ModuleType) -> None:
        """`listener` is what the library, `tensorrt` or one like it, takes as a logger."""
        self.lines: deque[str] = deque(maxlen=KEPT)
        self._complaint = ""
        self.listener = _listener(module, self)

    def error(self, message: str) -> None:
        # what comes after the first error mostly follows from it
        self._complaint = self._complaint or message
        self.lines.append(message)
        log.error("TensorRT: %s", message)

    def warning(self, message: str) -> None:
        self.lines.append(message)
        log.info("TensorRT: %s", message)

    def info(self, message: str) -> None:
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


def _listener(module: ModuleType, heard: Log) -> "tensorrt.ILogger":
    base: Any = module.ILogger

    class Listener(base):
        def __init__(self) -> None:
            base.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            """Called by TensorRT, from any thread."""
            if severity <= base.ERROR:
                heard.error(message)
            elif severity == base.WARNING:
                heard.warning(message)
            elif severity == base.INFO:
                heard.info(message)

    return Listener()
