"""What being watched costs: a real server that is watched in turns, and how its figures become a table."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from edgevlm_server.observe.record import Readers, RequestRecord
from edgevlm_server.service import Service

from benchmarks import watched_server
from benchmarks.watched import Cost, Pair, measured, report


@pytest.mark.slow
def test_each_server_is_asked_in_turn(tiny_bundle: Path) -> None:
    found = measured(tiny_bundle, streams=2, requests=4, max_tokens=4, servers=2, pairs=2)
    assert len(found) == 4
    assert all(cost.rate > 0 for one in found for cost in one)


def test_ratios_are_those_of_each_pair() -> None:
    pairs = [Pair(Cost(100, 0.010), Cost(99, 0.011)), Pair(Cost(50, 0.020), Cost(51, 0.020))]
    text = report(pairs, 8)
    assert "1.005 ± 0.015" in text
    assert "1.050 ± 0.050" in text


@pytest.fixture
def switch() -> Iterator[watched_server.Switch]:
    kept = Readers.read, Service.exchange, signal.getsignal(signal.SIGUSR1)
    made = watched_server.Switch()
    watched_server.put(made)
    yield made
    Readers.read, Service.exchange = kept[:2]  # type: ignore[method-assign]
    signal.signal(signal.SIGUSR1, kept[2])


def test_a_server_that_looks_away_reads_no_request(switch: watched_server.Switch) -> None:
    read: list[str] = []
    readers = Readers(lambda record: read.append(record.id))

    def one(name: str) -> None:
        readers.read(RequestRecord(id=name, method="GET", path="/", address=None))

    one("first")
    signal.raise_signal(signal.SIGUSR1)
    one("unseen")
    signal.raise_signal(signal.SIGUSR1)
    one("last")
    assert read == ["first", "last"]
