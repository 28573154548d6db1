"""One soak from start to verdict: a server process, clients, faults, the watch, and the two checks at the end."""

import asyncio
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.commands.serve_process import Process, ready, started
from tests.soak.clients import Clients
from tests.soak.faults import BURST, Faults
from tests.soak.ledger import Ledger, imbalances, read_metrics
from tests.soak.questions import questions
from tests.soak.server import LEAK
from tests.soak.watch import Reading, read, unbounded

SERVE = ("--image-cache", "64KiB", "--prefix-cache", "64KiB")
"""So small that they are full, and give way, within seconds."""

LEAKED = 10_000
"""Bytes a request, of the control."""
SAMPLE_SECONDS = 0.5
SETTLE_SECONDS = 20.0

Progress = Callable[[float, Ledger, Reading], object]
"""Called with the seconds that are left, as often as the process is looked at."""


@dataclass(frozen=True, slots=True)
class Soak:
    """How long, how many clients, how often a fault, and how many bytes of each request the server is to leak."""

    bundle: Path
    seconds: float
    streams: int = 16
    fault_seconds: float = 3.0
    leaked: int = 0
    seed: int = 17


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it; `wrong` are sentences, none where all is well."""

    ledger: Ledger
    metrics: dict[str, float]
    before: Reading
    after: Reading
    readings: list[Reading]
    killed: int
    wrong: list[str]


def soak(plan: Soak, progress: Progress = lambda *_: None) -> Verdict:
    """Run it; takes `plan.seconds` and some more."""
    command: list[str | Path] = [sys.executable, "-m", "tests.soak.server", "--port", "0", *SERVE, plan.bundle]
    with started(command, **{LEAK: str(plan.leaked), "PYTHONPATH": os.pathsep.join(sys.path)}) as process:
        url = process.url()
        ready(url)
        return asyncio.run(_soak(plan, process, url, progress))


async def _soak(plan: Soak, process: Process, url: str, progress: Progress) -> Verdict:
    number = process.process.pid
    ledger, chance = Ledger(), random.Random(plan.seed)
    clients = Clients(url, ledger, plan.streams)
    faults = Faults(number, url, clients, ledger)
    await clients.learn(questions(plan.seed))
    await clients.burst(BURST, chance)
    await clients.close()
    before = await _settled(number)
    end = time.monotonic() + plan.seconds
    asking = [clients.ask_until(end, random.Random(chance.random())) for _ in range(plan.streams)]
    load = asyncio.gather(faults.until(end, plan.fault_seconds, chance), *asking)
    readings = []
    while not load.done():
        await asyncio.wait([load], timeout=SAMPLE_SECONDS)
        readings.append(read(number))
        progress(end - time.monotonic(), ledger, readings[-1])
    await load
    metrics = await _balanced(clients, ledger)
    await clients.close()
    after = await _settled(number, before)
    wrong = [*ledger.problems, *imbalances(ledger, metrics), *unbounded(readings, before, after)]
    if len(ledger.lost) > faults.killed:
        wrong.append(f"{len(ledger.lost)} good pictures were refused, and {faults.killed} processes killed")
    if "Traceback" in process.log:
        wrong.append("there is a traceback in the log")
    return Verdict(ledger, metrics, before, after, readings, faults.killed, wrong)


async def _balanced(clients: Clients, ledger: Ledger) -> dict[str, float]:
    """The metrics once nobody is inside any more, or as they are when that takes too long."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        metrics = read_metrics(await clients.metrics())
        if not imbalances(ledger, metrics) or time.monotonic() > deadline:
            return metrics
        await asyncio.sleep(0.2)


async def _settled(process: int, before: Reading | None = None) -> Reading:
    """The process at rest: connections that were closed are gone. What is more than `before` gets time to go."""
    deadline, last = time.monotonic() + SETTLE_SECONDS, read(process)
    while time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        now = read(process)
        if now[1:] == last[1:] and (before is None or not unbounded([now], before, now)):
            return now
        last = now
    return last
