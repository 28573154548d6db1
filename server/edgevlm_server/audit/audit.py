"""The audit: a reader of records whose thread writes them down. It never waits, and says what it had to drop.

The event loop only puts a reference into a bounded outbox; text, digest files and all of the disk's slowness are the
thread's. Lines are written ten times a second, and synced to the disk every few seconds and at the end. Pictures are
written at once.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from edgevlm_server.audit.folder import Folder
from edgevlm_server.audit.line import Line, PictureFile, encoded, line_of
from edgevlm_server.audit.losses import Losses
from edgevlm_server.audit.outbox import OUTBOX_BYTES, Outbox
from edgevlm_server.audit.retention import tidy
from edgevlm_server.observe.exchange import Exchange, Seen
from edgevlm_server.observe.labels import Audited
from edgevlm_server.observe.log_form import local_time
from edgevlm_server.observe.metrics import Metrics
from edgevlm_server.observe.record import RequestRecord
from edgevlm_server.settings import Settings, SettingsError

log = logging.getLogger(__name__)

SYNC_SECONDS = 5.0
"""At most so much is lost with the power."""
GATHER_SECONDS = 0.1
"""Lines that come within it are written together."""
TIDY_SECONDS = 3600.0
CLOSE_SECONDS = 5.0
"""How long the end waits for a disk."""
PART_BYTES = 64 * 2**20
PARTS = 8
"""Of a small size, lines fill so many files, so that the oldest can go."""

FULL = "more came than the disk takes."


class Keeping(NamedTuple):
    """Where, whether with pictures, for how many days, and how many bytes of it all."""

    folder: Path
    pictures: bool
    days: int
    most_bytes: int


class Audit:
    """Between `start` and `close`, which are called once; every other method returns at once."""

    def __init__(self, keeping: Keeping, metrics: Metrics, outbox_bytes: int = OUTBOX_BYTES) -> None:
        self._keeping = keeping
        self._metrics = metrics
        self._losses = Losses(metrics)
        self._folder = Folder(keeping.folder, min(PART_BYTES, keeping.most_bytes // PARTS))
        self._outbox: Outbox[Line | PictureFile] = Outbox(outbox_bytes)
        self._total = 0
        """Bytes in the folder, as far as this process knows."""
        self._tidied: float | None = None
        self._thread = threading.Thread(target=self._run, name="edgevlm-audit", daemon=True)

    def start(self) -> None:
        """Raises `OSError` if the folder cannot be written."""
        self._folder.prepare()
        self._thread.start()

    def exchange(self) -> Exchange:
        """For a request that begins."""
        return Exchange(self._keep if self._keeping.pictures else None)

    def __call__(self, record: RequestRecord) -> None:
        """A reader: of requests that have an exchange, which it takes away."""
        exchange, record.exchange = record.exchange, None
        if exchange is not None:
            self._put(Line(record, exchange))

    def close(self) -> bool:
        """Write what is left; false if the disk does not take it in time. Blocks."""
        self._outbox.close()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            log.error("The audit's disk does not answer; %d entries are lost.", len(self._outbox))
        return not self._thread.is_alive()

    def _keep(self, seen: Seen, data: bytes) -> None:
        self._put(PictureFile(seen, data))

    def _put(self, item: Line | PictureFile) -> None:
        if not self._outbox.put(item):
            self._losses.add(_kind(item), FULL)

    # ---- in the thread

    def _run(self) -> None:
        synced = time.monotonic()
        while not self._outbox.over:
            self._tidy_if_due()
            items = self._outbox.waiting(SYNC_SECONDS)
            # pictures one by one, so that each makes room for the next
            items = [*takewhile(lambda one: isinstance(one, Line), items)] or items[:1]
            self._write(items)
            self._outbox.done(len(items))
            if time.monotonic() - synced >= SYNC_SECONDS:
                self._sync()
                synced = time.monotonic()
            if not len(self._outbox):
                # a thread that wakes for each line takes the interpreter from the event loop each time
                self._outbox.wait_closed(GATHER_SECONDS)
        self._tidy_if_due()
        self._sync()
        self._folder.close()

    def _write(self, items: Sequence[Line | PictureFile]) -> None:
        """Lines together: each write gives up the interpreter, and gets it back when the event loop lets it."""
        lines: list[bytes] = []
        for item in items:
            with self._attempted(_kind(item)):
                if isinstance(item, PictureFile):
                    self._write_picture(item)
                else:
                    lines.append(line_of(item, self._kept(item) if self._keeping.pictures else None))
        if lines:
            with self._attempted("request", len(lines)):
                self._say_losses()
                self._append(b"".join(lines))
                self._metrics.audit_written.labels("request").inc(len(lines))

    @contextmanager
    def _attempted(self, kind: Audited, count: int = 1) -> Iterator[None]:
        """What cannot be written is counted as lost."""
        try:
            yield
        except OSError as error:
            self._losses.add(kind, f"{self._keeping.folder}: {error.strerror}.", count)
        except Exception:
            log.exception("An entry of the audit could not be made.")
            self._losses.add(kind, "see above.", count)

    def _write_picture(self, picture: PictureFile) -> None:
        if self._folder.keep(picture.seen.sha256, picture.data):
            self._total += len(picture.data)
            self._metrics.audit_written.labels("picture").inc()

    def _kept(self, line: Line) -> dict[str, bool]:
        return {one.sha256: self._folder.has(one.sha256) for one in line.exchange.pictures.values()}

    def _say_losses(self) -> None:
        """A line of its own, in front of the first that can be written again."""
        dropped = self._losses.take()
        if dropped:
            try:
                self._append(encoded({"time": local_time(time.time()), "dropped": _counts(dropped)}))
            except OSError:
                self._losses.put_back(dropped)
                raise

    def _append(self, lines: bytes) -> None:
        self._folder.append(lines, datetime.now().astimezone().date())
        self._total += len(lines)

    def _sync(self) -> None:
        try:
            self._folder.sync()
        except OSError as error:
            log.error("The audit could not be synced: %s.", error.strerror)

    def _tidy_if_due(self) -> None:
        now = time.monotonic()
        due = self._tidied is None or now - self._tidied >= TIDY_SECONDS
        if not due and self._total <= self._keeping.most_bytes:
            return
        self._tidied = now
        keeping = self._keeping
        try:
            self._total = tidy(keeping.folder, time.time(), keeping.days, keeping.most_bytes, self._folder.current)
        except OSError as error:
            # once an hour, and not before each line
            self._total = 0
            log.error("Old files of the audit could not be removed: %s.", error.strerror)


def open_audit(settings: Settings, metrics: Metrics) -> Audit | None:
    """`None` if none was asked for. Raises `SettingsError` for a folder that cannot be written."""
    if settings.audit is None:
        return None
    keeping = Keeping(settings.audit, settings.audit_pictures, settings.audit_days, settings.audit_size)
    audit = Audit(keeping, metrics)
    try:
        audit.start()
    except OSError as error:
        raise SettingsError(f"--audit: {settings.audit} cannot be written: {error.strerror}.") from None
    return audit


def _kind(item: Line | PictureFile) -> Audited:
    return "picture" if isinstance(item, PictureFile) else "request"


def _counts(dropped: Mapping[str, int]) -> dict[str, int]:
    return {f"{kind}s": count for kind, count in sorted(dropped.items())}
