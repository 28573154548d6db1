"""Files that may change while the server runs: looked at once a second, read again on change and on SIGHUP.

Knows no keys and no certificates. A change is seen by the file that a path leads to, so a link that is set anew, as
Kubernetes does with its secrets, is one too.
"""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0

Signature = tuple[tuple[Path, tuple[int, ...] | None], ...]


class Reloader:
    """Looks and reads in a thread of its own: a share that hangs holds up neither requests nor the end."""

    def __init__(self) -> None:
        self._watched: list[_Watched] = []
        self._some = threading.Event()
        self._hung_up = self._ended = False

    def watch(self, files: Callable[[], Sequence[Path]], reload: Callable[[], None]) -> None:
        """Call `reload` whenever one of the files has changed, or there are others.

        `files` may raise `OSError` while they cannot be listed; `reload` is called then, too, and can say so. Once it
        has begun, it is called in another thread.
        """
        self._watched.append(_Watched(files, reload))

    def start(self) -> None:
        """Look for changes until `end`."""
        threading.Thread(target=self._run, name="reloader", daemon=True).start()

    def hang_up(self) -> None:
        """Have all of them read again, changed or not."""
        self._hung_up = True
        self._some.set()

    def end(self) -> None:
        """Waits for nothing: a look under way may hang."""
        self._ended = True
        self._some.set()

    def look(self) -> None:
        """Read what has changed."""
        for one in self._watched:
            one.look()

    def read(self) -> None:
        """Read all of them."""
        if not self._watched:
            log.info("SIGHUP: there are no files to read again.")
        for one in self._watched:
            one.read()

    def _run(self) -> None:
        while not self._ended:
            self._some.wait(LOOK_SECONDS)
            self._some.clear()
            if self._hung_up:
                self._hung_up = False
                self.read()
            elif not self._ended:
                self.look()


class _Watched:
    def __init__(self, files: Callable[[], Sequence[Path]], reload: Callable[[], None]) -> None:
        self._files = files
        self._reload = reload
        self._seen = self._signature()

    def look(self) -> None:
        if self._signature() != self._seen:
            self.read()

    def read(self) -> None:
        # before the files: what changes meanwhile is seen at the next look
        self._seen = self._signature()
        other = next((path for path, _ in self._seen or () if _is_no_file(path)), None)
        if other is not None:
            # a pipe would be read until someone writes
            log.error("%s is not a file any more. What was read before stays in use.", other)
            return
        try:
            self._reload()
        except Exception:
            # the next change, and other files, must be seen all the same
            log.exception("Files could not be read again. What was read before stays in use.")

    def _signature(self) -> Signature | None:
        """`None` while the files cannot be listed."""
        try:
            files = self._files()
        except OSError:
            return None
        return tuple((path, _signature(path)) for path in files)


def ignore_hangup() -> None:
    """SIGHUP ends no server: until there is something to read again, it does nothing."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def on_hangup(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    """Call `callback` on the loop at each SIGHUP. Behind the loop's end, SIGHUP still ends nothing."""

    def hung_up(number: int, frame: FrameType | None) -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(callback)

    signal.signal(signal.SIGHUP, hung_up)


def _is_no_file(path: Path) -> bool:
    """There is something else. Unlike a path's own methods, these never raise."""
    return os.path.exists(path) and not os.path.isfile(path)


def _signature(path: Path) -> tuple[int, ...] | None:
    """What differs between one state of a file and the next; `None` while there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
