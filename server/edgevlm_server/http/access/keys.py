"""API keys: one a client, stored as SHA-256, compared in constant time. Knows no HTTP.

The file has one line a client, `NAME SHA256`; empty lines and lines that begin with # are skipped. A key is 32
random bytes, so one fast hash is enough: there is no dictionary to try.
"""

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

from edgevlm_server.settings import SettingsError

_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,64})[ \t]+(?P<digest>[0-9a-f]{64})")


class KeyRing:
    """The clients that may use the server."""

    def __init__(self, digests: dict[str, str]) -> None:
        self._digests = {name: bytes.fromhex(digest) for name, digest in digests.items()}

    @classmethod
    def load(cls, path: Path) -> "KeyRing":
        """Raises `SettingsError` for a file that is missing, malformed or holds no key."""
        digests: dict[str, str] = {}
        for number, line in enumerate(_read(path).splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            match = _LINE.fullmatch(line.strip())
            if match is None:
                raise SettingsError(f"{path}, line {number}: expected 'NAME SHA256'.")
            if match["name"] in digests:
                raise SettingsError(f"{path}, line {number}: the name {match['name']} appears twice.")
            digests[match["name"]] = match["digest"]
        if not digests:
            raise SettingsError(f"{path} contains no keys; add one with 'edgevlm keys add {path} NAME'.")
        return cls(digests)

    def client_of(self, key: str) -> str | None:
        """The name of the client with this key. Takes the same time whichever key it is, or none."""
        digest = hashlib.sha256(key.encode("utf-8", "replace")).digest()
        found = None
        for name, known in self._digests.items():
            if hmac.compare_digest(digest, known):
                found = name
        return found


def add_key(path: Path, name: str) -> str:
    """Make a key for `name`, append its digest to the file, and return the key: it is kept nowhere else."""
    key = f"sk-{secrets.token_urlsafe(32)}"
    line = f"{name} {hashlib.sha256(key.encode()).hexdigest()}"
    if _LINE.fullmatch(line) is None:
        raise SettingsError("A client's name is 1 to 64 letters, digits, dots, dashes or underscores.")
    before = _read(path) if path.exists() else ""
    if any(known.split()[:1] == [name] for known in before.splitlines()):
        raise SettingsError(f"{path} already has a key for {name}; remove its line first.")
    if before and not before.endswith("\n"):
        line = f"\n{line}"
    try:
        with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}.") from None
    return key


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(f"{path} cannot be read: {reason}.") from None
