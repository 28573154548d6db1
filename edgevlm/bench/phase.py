"""A stretch of load: who sends when, and what became of each request. Knows no pictures and no statistics."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Iterator
from random import Random

from edgevlm.bench.client import Sample, ask
from edgevlm.http_client import Server


class Phase:
    """Its clock starts when it is made. It keeps a sample of every request that has ended."""

    def __init__(self, server: Server, seen: Callable[[], object] = lambda: None) -> None:
        self.samples: list[Sample] = []
        self._server = server
        self._seen = seen
        self._began = time.perf_counter()

    def now(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self._began

    async def send(self, body: bytes, intended: float) -> Sample:
        """Send one request, which should have been sent at `intended`, and wait for the end of its answer."""
        sample = await ask(self._server, body, intended, self.now)
        self.samples.append(sample)
        self._seen()
        return sample


async def closed_loop(phase: Phase, bodies: Iterator[bytes], clients: int, seconds: float = math.inf) -> None:
    """`clients` at a time, each sending the next request when its last one has ended, none after `seconds`."""

    async def client() -> None:
        while phase.now() < seconds and (body := next(bodies, None)) is not None:
            await phase.send(body, phase.now())

    await asyncio.gather(*(client() for _ in range(clients)))


async def open_loop(phase: Phase, timed: Iterable[tuple[float, bytes]]) -> None:
    """Each request at its time in seconds, however many are still under way.

    A request that goes out late, because this process was held up, counts from when it should have gone: otherwise
    a stall would hide the waiting that it causes.
    """
    under_way = []
    for intended, body in timed:
        await asyncio.sleep(intended - phase.now())
        under_way.append(asyncio.create_task(phase.send(body, intended)))
    await asyncio.gather(*under_way)


def poisson_times(rate: float, seed: int) -> Iterator[float]:
    """Seconds at which requests of clients who know nothing of each other come, `rate` a second, without end."""
    random, now = Random(seed), 0.0
    while True:
        now += random.expovariate(rate)
        yield now
