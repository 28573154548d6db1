"""Files of a machine, below `/` or below a folder that holds a copy of some of them. Knows no meanings."""

import logging
import os
import re
from math import inf
from pathlib import Path

log = logging.getLogger(__name__)

HWMON = "/sys/class/hwmon"
"""Where Linux puts its monitoring chips: fans, power, counters of overcurrent."""
LARGEST = 1 << 20


class Root:
    """Whatever is missing, forbidden or nonsense, or refuses to be read as a sensor does that is off, is `None`.

    What is there and gives nothing is said once in the log; what is missing is not.
    """

    def __init__(self, folder: Path = Path("/")) -> None:
        self.folder = folder
        self._said: set[str] = set()

    def path(self, name: str) -> Path:
        """Where a file is whose name begins with `/` on the machine itself."""
        return self.folder / name.lstrip("/")

    def text(self, name: str) -> str | None:
        """The content without the spaces, line ends and zero bytes around it."""
        try:
            content = _read(self.path(name))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self.leave_out(name, f"cannot be read: {error.strerror}")
            return None
        return content.decode("utf-8", errors="replace").strip("\0 \t\r\n")

    def lines(self, name: str) -> list[str]:
        return (self.text(name) or "").splitlines()

    def number(self, name: str, least: float = -inf, most: float = inf) -> int | None:
        """A whole number; one that is out of bounds counts as nonsense."""
        text = self.text(name)
        if text is None:
            return None
        value = int(text) if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else None
        if value is None or not least <= value <= most:
            self.leave_out(name, f"holds nonsense: {text[:40]!r}")
            return None
        return value

    def names(self, folder: str, pattern: str = ".*") -> list[str]:
        """What lies in a folder and matches a regular expression as a whole, in order of names and numbers."""
        try:
            found = os.listdir(self.path(folder))
        except OSError:
            return []
        return sorted((name for name in found if re.fullmatch(pattern, name)), key=_natural)

    def link(self, name: str) -> str | None:
        """Where a symbolic link leads."""
        try:
            return os.readlink(self.path(name))
        except OSError:
            return None

    def leave_out(self, name: str, reason: str) -> None:
        """Say, once, that a file is there and of no use."""
        if name not in self._said:
            self._said.add(name)
            log.info("%s %s; it is left out.", name, reason)


def _read(path: Path) -> bytes:
    """A sensor that is off answers EAGAIN, which Python's own files turn into other errors or into waiting."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        content = b""
        while len(content) < LARGEST and (part := os.read(file, LARGEST - len(content))):
            content += part
        return content
    finally:
        os.close(file)


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """`cpu10` comes after `cpu9`."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)
