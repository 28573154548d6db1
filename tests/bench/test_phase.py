"""Who sends when: late requests, ends of phases, random times."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from itertools import islice, pairwise, repeat

import pytest

from edgevlm.bench.client import OK
from edgevlm.bench.phase import Phase, closed_loop, open_loop, poisson_times
from edgevlm.http_client import Server
from tests.bench.byte_server import ANSWER, HEAD, with_server


@pytest.mark.slow
def test_a_late_request_counts_from_when_it_should_have_gone() -> None:
    def held_up() -> Iterator[tuple[float, bytes]]:
        yield 0.0, b"{}"
        time.sleep(0.3)
        yield 0.01, b"{}"

    phase = Phase(Server.at("http://127.0.0.1:9", None))
    asyncio.run(open_loop(phase, held_up()))
    late = max(phase.samples, key=lambda sample: sample.intended)
    assert late.intended == 0.01
    assert late.sent >= 0.3
    assert late.end_to_end >= 0.29


def test_a_closed_loop_sends_each_body_once_and_stops_in_time() -> None:
    phase = Phase(Server.at("http://127.0.0.1:9", None))
    asyncio.run(closed_loop(phase, iter([b"{}"] * 7), clients=3))
    assert [sample.outcome for sample in phase.samples] == ["no connection"] * 7
    asyncio.run(closed_loop(phase, iter([b"{}"]), clients=3, seconds=0))
    assert len(phase.samples) == 7


@pytest.mark.slow
def test_a_load_that_is_cancelled_ends_whenever_it_is() -> None:
    """`asyncio.wait_for` lost the cancellation if it came together with an answer, and the load went on."""

    async def cancelled_often(server: Server) -> None:
        for turn in range(60):
            phase = Phase(server)
            load = asyncio.create_task(closed_loop(phase, repeat(b"{}"), clients=4))
            await asyncio.sleep(turn / 10_000)
            load.cancel()
            done, _ = await asyncio.wait({load}, timeout=60)
            assert done
            assert {sample.outcome for sample in phase.samples} <= {OK}

    asyncio.run(with_server([HEAD + b"\r\n" + ANSWER], cancelled_often))


def test_random_times_have_the_rate_that_was_asked_for() -> None:
    times = list(islice(poisson_times(20, seed=3), 4000))
    assert times == list(islice(poisson_times(20, seed=3), 4000)) != list(islice(poisson_times(20, seed=4), 4000))
    gaps = [after - before for before, after in pairwise(times)]
    assert statistics.fmean(gaps) == pytest.approx(0.05, rel=0.05)
    # as scattered as the exponential distribution is
    assert statistics.stdev(gaps) == pytest.approx(0.05, rel=0.1)
