"""Files of a machine, below `/` or below a folder that holds a copy of some of them. Knows no meanings."""

import os
import re
from pathlib import Path

LARGEST = 1 << 20


class Root:
    """Whatever is missing, forbidden or refuses to be read, as sensors do that are off, is `None`."""

    def __init__(self, folder: Path = Path("/")) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Where a file is whose name begins with `/` on the machine itself."""
        return self.folder / name.lstrip("/")

    def text(self, name: str) -> str | None:
        """The content without the spaces, line ends and zero bytes around it."""
        try:
            with self.path(name).open(encoding="utf-8", errors="replace") as file:
                return file.read(LARGEST).strip("\0 \t\r\n")
        except OSError:
            return None

    def lines(self, name: str) -> list[str]:
        return (self.text(name) or "").splitlines()

    def number(self, name: str) -> int | None:
        text = self.text(name) or ""
        return int(text) if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else None

    def names(self, folder: str) -> list[str]:
        """What lies in a folder, in order of names."""
        try:
            return sorted(os.listdir(self.path(folder)))
        except OSError:
            return []

    def link(self, name: str) -> str | None:
        """Where a symbolic link leads."""
        try:
            return os.readlink(self.path(name))
        except OSError:
            return None
