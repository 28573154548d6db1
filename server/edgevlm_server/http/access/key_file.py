"""The key file as `edgevlm keys` changes it: whole or not at all, one program at a time. Knows no server.

A server that uses the file reads it again within seconds.
"""

import fcntl
import hashlib
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgevlm_server.http.access.keys import NAME, Entry, parse, read
from edgevlm_server.settings import SettingsError


def add_key(path: Path, name: str) -> str:
    """Make a key for a new client and return it: the file keeps its digest alone. Raises `SettingsError`."""
    if re.fullmatch(NAME, name) is None:
        raise SettingsError("A client's name is 1 to 64 letters, digits, dots, dashes or underscores.")
    with _changing(path, create=True) as lines:
        if any(entry.name == name for entry in _entries(path, lines)):
            raise SettingsError(f"{path} already has a key for {name}; replace it with 'edgevlm keys rotate'.")
        key, entry = _new(name)
        lines.append(entry.line())
    return key


def list_keys(path: Path) -> tuple[Entry, ...]:
    """Every key's line. Raises `SettingsError`."""
    return parse(path, read(path))


def remove_client(path: Path, name: str) -> None:
    """Remove all keys of a client. Raises `SettingsError`, also for the last one: no server takes an empty file."""
    with _changing(path) as lines:
        entries = _entries(path, lines)
        _known(path, name, entries)
        if all(entry.name == name for entry in entries):
            raise SettingsError(
                f"{name} is the only client in {path}, and a server keeps its keys when the file has none. Add "
                f"another client first, or replace this one's key now: edgevlm keys rotate {path} {name} --grace 0."
            )
        lines[:] = [line for line in lines if _name(line) != name]


def rotate_key(path: Path, name: str, grace: float) -> str:
    """Make a new key for a client and return it; the old one opens for `grace` seconds more. Raises `SettingsError`.

    A key that was replaced before and is still in the file goes: a client has two keys at most.
    """
    with _changing(path) as lines:
        entries = _entries(path, lines)
        _known(path, name, entries)
        old = [entry for entry in entries if entry.name == name and entry.until is None and grace > 0]
        key, entry = _new(name)
        kept = [one._replace(until=time.time() + grace).line() for one in old]
        lines[:] = [*(line for line in lines if _name(line) != name), *kept, entry.line()]
    return key


def _new(name: str) -> tuple[str, Entry]:
    key = f"sk-{secrets.token_urlsafe(32)}"
    return key, Entry(name, hashlib.sha256(key.encode()).hexdigest())


def _known(path: Path, name: str, entries: tuple[Entry, ...]) -> None:
    if all(entry.name != name for entry in entries):
        raise SettingsError(f"{path} has no key for {name}.")


def _entries(path: Path, lines: list[str]) -> tuple[Entry, ...]:
    return parse(path, "\n".join(lines))


def _name(line: str) -> str | None:
    """Whose key a line holds; `None` for comments and empty lines, which stay as they are."""
    return None if not line.strip() or line.startswith("#") else line.split()[0]


@contextmanager
def _changing(path: Path, *, create: bool = False) -> Iterator[list[str]]:
    """The file's lines, to be changed in place; they are written when the block ends without an error."""
    target = path.resolve()  # of a link, what it leads to changes
    try:
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _unwritable(path, error) from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # on the folder: the file itself is replaced
        lines = [] if create and not target.exists() else read(path).splitlines()
        yield lines
        try:
            _replace(target, "".join(f"{line}\n" for line in lines))
            os.fsync(folder)
        except OSError as error:
            raise _unwritable(path, error) from None
    finally:
        os.close(folder)


def _replace(path: Path, text: str) -> None:
    """A file of the same name, owner and mode, or a private one; whoever reads meanwhile has the old one."""
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            with suppress(FileNotFoundError):
                before = path.stat()
                os.fchmod(descriptor, before.st_mode & 0o7777)
                if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(descriptor, before.st_uid, before.st_gid)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def _unwritable(path: Path, error: OSError) -> SettingsError:
    return SettingsError(f"{path} cannot be written: {error.strerror}.")
