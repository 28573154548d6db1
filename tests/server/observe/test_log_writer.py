"""The log's writer: lines in order, warnings at once, nothing lost at the end, and nobody waits for who reads it."""

import io
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from edgevlm_server.observe import log_writer
from edgevlm_server.observe.log_writer import GatheringHandler

from tests.server.engines import until


class Reader(io.StringIO):
    """A stream whose reader may be slow."""

    def __init__(self) -> None:
        super().__init__()
        self.takes = threading.Event()
        self.takes.set()
        self.asked = threading.Event()
        """Someone writes."""

    def write(self, text: str) -> int:
        self.asked.set()
        assert self.takes.wait(60)
        return super().write(text)


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.takes.set()


@pytest.fixture
def log(reader: Reader) -> logging.Logger:
    made = logging.Logger("test")
    made.addHandler(GatheringHandler(reader))
    return made


def test_lines_come_in_their_order_by_themselves(log: logging.Logger, reader: Reader) -> None:
    for number in range(100):
        log.info("line %d", number)
    until(lambda: reader.getvalue().count("\n") == 100, "the lines")
    assert reader.getvalue().splitlines() == [f"line {number}" for number in range(100)]


def test_a_warning_is_there_at_once_behind_what_came_before(log: logging.Logger, reader: Reader) -> None:
    log.info("before")
    log.warning("a warning")
    assert reader.getvalue() == "before\na warning\n"


def test_who_logs_does_not_wait_for_who_reads_and_what_is_lost_is_said(
    log: logging.Logger, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "MOST_LINES", 10)
    reader.takes.clear()
    log.info("first")
    until(reader.asked.is_set, "the writer to wait for its reader")
    for number in range(15):
        log.info("line %d", number)
    reader.takes.set()
    until(lambda: "lost" in reader.getvalue(), "the lines")
    *lines, last = reader.getvalue().splitlines()
    assert lines == ["first", *(f"line {number}" for number in range(10))]
    assert last == "5 lines of the log were lost: nobody took them in time."


def test_a_message_that_cannot_be_made_costs_no_other(
    log: logging.Logger, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log.info("no number: %d", "one")
    log.warning("after")
    assert reader.getvalue() == "after\n"


@pytest.mark.slow
@pytest.mark.parametrize("end", ["", "logging.shutdown(); os._exit(0)"])
def test_at_the_end_nothing_is_lost(end: str) -> None:
    code = f"""
import logging, os
from edgevlm_server.observe.log_writer import GatheringHandler
logging.basicConfig(level="INFO", format="%(message)s", handlers=[GatheringHandler()])
for number in range(50):
    logging.info("line %d", number)
{end}
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stderr.splitlines() == [f"line {number}" for number in range(50)]
