"""An audit that cannot be written: nobody waits, nothing is half written, and what is lost is counted and said."""

import errno
import json
import logging
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edgevlm_server.audit.audit import Audit, Keeping
from edgevlm_server.observe.exchange import Exchange, Seen
from edgevlm_server.observe.metrics import Metrics
from edgevlm_server.observe.record import RequestRecord

from tests.live import LiveServer
from tests.server.audit.test_audit import lines
from tests.server.engines import until

Bundles = Callable[[str], Path]


class Kept:
    """An audit without a server."""

    def __init__(self, folder: Path, *, outbox_bytes: int = 2**20, most_bytes: int = 2**30) -> None:
        self.folder = folder
        self._metrics = Metrics()
        self.audit = Audit(Keeping(folder, True, 30, most_bytes), self._metrics, outbox_bytes)
        self.audit.start()

    def request(self, question: str) -> None:
        record = RequestRecord(id="x", method="POST", path="/", address=None)
        record.exchange = exchange = self.audit.exchange()
        exchange.asked(question)
        record.close()
        self.audit(record)
        assert record.exchange is None

    def picture(self, digit: str, data: bytes) -> None:
        keep = self.audit.exchange().keep
        assert keep is not None
        keep(Seen(64 * digit, len(data), "PNG"), data)

    def count(self, what: str, kind: str) -> float | None:
        return self._metrics._registry.get_sample_value(f"edgevlm_audit_{what}_total", {"kind": kind})

    def written(self, count: int) -> None:
        until(lambda: self.count("written", "request") == count, f"{count} lines to be written")

    def dropped(self, count: int) -> None:
        until(lambda: self.count("dropped", "request") == count, f"{count} lines to be dropped")


class FullDisk:
    """`os.write` on a disk that takes only half of what it is given. Stands for a file system that is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self._write = os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, file: int, data: Any) -> int:
        if not self.full:
            return self._write(file, data)
        if len(data) > 1:
            return self._write(file, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_no_half_of_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept, disk = Kept(tmp_path), FullDisk(monkeypatch)
    kept.request("before")
    kept.written(1)
    disk.full = True
    for number in range(5):
        kept.request(f"lost {number}")
    kept.picture("a", bytes(1000))
    kept.dropped(5)
    until(lambda: kept.count("dropped", "picture") == 1, "the picture to be dropped")
    disk.full = False
    kept.request("after")
    assert kept.audit.close()
    before, note, after = lines(tmp_path)
    assert (before["question"], after["question"]) == ("before", "after")
    assert note["dropped"] == {"pictures": 1, "requests": 5}
    assert not list(tmp_path.rglob("*.partial"))
    (said,) = (record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR)  # in a minute
    assert said.startswith("The audit lost ") and said.endswith(f": {tmp_path}: No space left on device.")


def test_a_folder_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    """It may be where another disk was mounted."""
    folder = tmp_path / "audit"
    kept = Kept(folder)
    kept.request("before")
    kept.written(1)
    shutil.rmtree(folder)
    kept.request("lost")
    kept.picture("b", b"lost")
    kept.dropped(1)
    until(lambda: kept.count("dropped", "picture") == 1, "the picture to be dropped")
    assert not folder.exists()
    folder.mkdir()
    kept.request("after")
    assert kept.audit.close()
    assert [line.get("question") for line in lines(folder)] == [None, "after"]


class SlowDisk:
    """`os.write` that waits until it may. Stands for a disk that hangs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = threading.Event()
        self.waiting = False
        self._write = os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, file: int, data: Any) -> int:
        self.waiting = True
        assert self.gate.wait(60)
        return self._write(file, data)


@pytest.mark.slow
def test_a_disk_that_hangs_delays_no_answer(
    bundles: Bundles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo", audit=tmp_path) as server:
        disk = SlowDisk(monkeypatch)
        for number in range(3):
            assert server.chat(f"Question {number}", max_tokens=2).status_code == 200
        until(lambda: disk.waiting, "the disk to hang")
        assert lines(tmp_path) == []
        disk.gate.set()
    assert [line["question"] for line in lines(tmp_path)] == [f"Question {number}" for number in range(3)]


def test_what_waits_is_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, disk = Kept(tmp_path, outbox_bytes=100_000), SlowDisk(monkeypatch)
    for _ in range(7):
        kept.picture("c", bytes(30_000))
    assert kept.count("dropped", "picture") == 4
    for number in range(10):
        kept.request(f"Question {number}")
    assert kept.count("dropped", "request") == 6, "a small one takes the room that a large one leaves"
    disk.gate.set()
    assert kept.audit.close()
    assert lines(tmp_path)[0]["dropped"] == {"pictures": 4, "requests": 6}
    assert len(lines(tmp_path)) == 5


def test_what_is_never_written_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edgevlm_server.audit.audit.CLOSE_SECONDS", 0.1)
    kept, disk = Kept(tmp_path), SlowDisk(monkeypatch)
    kept.request("lost")
    kept.request("lost")
    assert not kept.audit.close()
    assert "The audit's disk does not answer; 2 entries are lost." in caplog.text
    disk.gate.set()
    kept.written(2)


def test_a_text_that_is_no_text_is_written(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.request('lone \ud800, "quoted",\nand \u2028 another line')
    assert kept.audit.close()
    [file] = tmp_path.glob("*.jsonl")
    assert file.read_bytes().count(b"\n") == 1
    assert json.loads(file.read_bytes())["question"] == 'lone \ud800, "quoted",\nand \u2028 another line'


def test_what_an_exchange_holds_is_bounded() -> None:
    exchange = Exchange()
    exchange.asked("x" * 10**6, "y" * 10**6)
    assert exchange.size <= 4 * 2 * 32_768


def test_decisions_count_for_what_an_exchange_holds() -> None:
    exchange = Exchange()
    before = exchange.size
    exchange.decided = [{"answer": "x" * 1000}] * 3
    assert exchange.size - before >= 3000
