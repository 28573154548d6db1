"""API keys: who has which, compared in constant time, replaced while the server runs. Knows no HTTP, writes no file.

The file has one line a key, `NAME SHA256`; empty lines and lines that begin with # are skipped. A key that was
replaced has a third word, the time until which it still opens: `NAME SHA256 2026-12-01T08:00:00Z`. A key is 32 random
bytes, so one fast hash is enough: there is no dictionary to try.
"""

import hashlib
import hmac
import logging
import re
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from edgevlm_server.settings import SettingsError

log = logging.getLogger(__name__)

NAME = r"[A-Za-z0-9._-]{1,64}"
_LINE = re.compile(rf"(?P<name>{NAME})[ \t]+(?P<digest>[0-9a-f]{{64}})(?:[ \t]+(?P<until>\S+))?")
_UNTIL = "%Y-%m-%dT%H:%M:%SZ"

# what client libraries and their examples send where no key is meant, and what comes to mind first
_GUESSED = (
    "0 1 12345678 123456 - admin api-key apikey changeme demo dummy edgevlm EMPTY empty fake key no-key none None "
    "not-needed null password secret sk- sk-1234 sk-no-key-required sk-test sk-xxx test token-abc123 x"
)
_OPEN_TO_ALL = frozenset(hashlib.sha256(text.encode()).hexdigest() for text in ("", " ", *_GUESSED.split()))


class Entry(NamedTuple):
    """One line: a client's key as its SHA-256 in hexadecimal. `until` is in seconds since 1970, `None` for ever."""

    name: str
    digest: str
    until: float | None = None

    def line(self) -> str:
        """As it stands in the file."""
        if self.until is None:
            return f"{self.name} {self.digest}"
        return f"{self.name} {self.digest} {datetime.fromtimestamp(self.until, timezone.utc).strftime(_UNTIL)}"


class KeyRing:
    """The clients that may use the server."""

    def __init__(self, path: Path, entries: tuple[Entry, ...]) -> None:
        self.path = path
        self._take(entries)

    @classmethod
    def load(cls, path: Path) -> "KeyRing":
        """Raises `SettingsError` for a file that is missing, malformed, or lets in nobody or everybody."""
        return cls(path, load_entries(path))

    def reload(self) -> None:
        """Take the keys that are in the file now; those of before stay if it cannot be read."""
        try:
            self._take(load_entries(self.path))
        except SettingsError as error:
            log.error("%s The keys that were read before stay valid.", error)
        else:
            clients = {name for name, *_ in self._digests}
            log.info("API keys were read again: %d keys, %d clients.", len(self._digests), len(clients))

    def client_of(self, key: str) -> str | None:
        """The name of the client with this key. Takes the same time whichever key it is, or none."""
        digest, now = hashlib.sha256(key.encode("utf-8", "replace")).digest(), time.time()
        found = None
        for name, known, until in self._digests:
            if hmac.compare_digest(digest, known) and (until is None or now < until):
                found = name
        return found

    def _take(self, entries: tuple[Entry, ...]) -> None:
        self._digests = [(entry.name, bytes.fromhex(entry.digest), entry.until) for entry in entries]


def load_entries(path: Path) -> tuple[Entry, ...]:
    """The lines of a file that a server can use. Raises `SettingsError` for any other."""
    entries = parse(path, read(path))
    if not entries:
        raise SettingsError(f"{path} contains no keys; add one with 'edgevlm keys add {path} NAME'.")
    return entries


def parse(path: Path, text: str) -> tuple[Entry, ...]:
    """The keys in a file's text. Raises `SettingsError` with the line that is wrong."""
    entries: list[Entry] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise SettingsError(f"{path}, line {number}: expected 'NAME SHA256'.")
        try:
            entry = Entry(match["name"], match["digest"], _seconds(match["until"]))
        except ValueError:
            raise SettingsError(f"{path}, line {number}: expected a time such as 2026-12-01T08:00:00Z.") from None
        if reason := _objection(entry, entries):
            raise SettingsError(f"{path}, line {number}: {reason}.")
        entries.append(entry)
    return tuple(entries)


def read(path: Path) -> str:
    """The text of a file. Raises `SettingsError`."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"{path} cannot be read: {reason}.") from None


def _objection(entry: Entry, before: list[Entry]) -> str | None:
    """What is wrong with one more key, beside those before it."""
    if entry.digest in _OPEN_TO_ALL:
        return f"the key of {entry.name} is empty or easy to guess, and would let anyone in"
    for other in before:
        if other.digest == entry.digest:
            return f"{entry.name} has the same key as {other.name} in a line before"
        if other.name == entry.name and other.until is None and entry.until is None:
            return f"the name {entry.name} appears twice"
    return None


def _seconds(until: str | None) -> float | None:
    """Raises `ValueError` for what is no time."""
    if until is None:
        return None
    return datetime.strptime(until, _UNTIL).replace(tzinfo=timezone.utc).timestamp()
