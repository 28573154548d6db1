"""What it costs a server to be watched: `python -m benchmarks.watched BUNDLE` (or `demo`).

One server writes a log as JSON and an audit. In every other turn it is also scraped as often as `docker/monitoring`
does, and its status is looked at as often as the page does; in the turns between it is told to look away: it counts
no request, writes no line and keeps no audit. Two processes of one program differ by more than what is sought here,
for as long as they run; so each is compared with itself, and several are started. The clients wait for each other,
so throughput is tokens over time; processor time is that of the server alone.
"""

import argparse
import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.command import run_command
from benchmarks.machine import heading
from benchmarks.report import table
from edgevlm.bench.bodies import QUESTION, chat_body, drawn_pictures
from edgevlm.bench.client import OK
from edgevlm.bench.phase import Phase, closed_loop
from edgevlm.bench.run import warm_up
from edgevlm.demo_bundle import find_bundle
from edgevlm.errors import CommandError
from edgevlm.http_client import Server, read
from edgevlm.own_server import OwnServer, own_process
from edgevlm.served_model import served_model

SECONDS = {"/metrics": 15.0, "/status": 2.0}
"""Between two looks."""
SETTLE_SECONDS = 0.3
"""The log's and the audit's threads write what they have gathered."""


class Cost(NamedTuple):
    """Of one turn: tokens a second of all streams, and the server's processor time for a request in seconds."""

    rate: float
    processor: float


class Pair(NamedTuple):
    """Two turns, one behind the other."""

    plain: Cost
    watched: Cost


class Watching:
    """Looks at a server while it is watched; how long it has waited for the next look lasts from turn to turn."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._left = dict(SECONDS)

    async def look(self) -> None:
        """Until it is cancelled."""
        await asyncio.gather(*(self._look(path) for path in SECONDS))

    async def _look(self, path: str) -> None:
        began = time.monotonic()
        try:
            while True:
                await asyncio.sleep(self._left[path])
                await read(self._server, "GET", path)
                began, self._left[path] = time.monotonic(), SECONDS[path]
        finally:
            self._left[path] = max(0.0, self._left[path] - (time.monotonic() - began))


class Watched:
    """One server process, in turn watched and not."""

    def __init__(self, own: OwnServer, bodies: Sequence[bytes], streams: int) -> None:
        self._own, self._bodies, self._streams = own, bodies, streams
        self._server = Server.at(own.url)
        self._watching = Watching(self._server)
        self._on = True

    def pair(self, *, watched_first: bool) -> Pair:
        """Raises `CommandError` if a request is not answered."""
        if watched_first:
            watched = self._turn(watched=True)
            return Pair(self._turn(watched=False), watched)
        return Pair(self._turn(watched=False), self._turn(watched=True))

    def _turn(self, *, watched: bool) -> Cost:
        if watched != self._on:
            os.kill(self._own.process, signal.SIGUSR1)
            self._on = watched
        time.sleep(SETTLE_SECONDS)
        before, began = processor_seconds(self._own.process), time.perf_counter()
        phase = asyncio.run(self._asked(watched=watched))
        seconds = time.perf_counter() - began
        time.sleep(SETTLE_SECONDS)
        failed = [sample.outcome for sample in phase.samples if sample.outcome != OK]
        if failed:
            raise CommandError(f"{len(failed)} requests were not answered: {failed[0]}.")
        tokens = sum(sample.completion_tokens or 0 for sample in phase.samples)
        return Cost(tokens / seconds, (processor_seconds(self._own.process) - before) / len(self._bodies))

    async def _asked(self, *, watched: bool) -> Phase:
        phase = Phase(self._server)
        watching = asyncio.create_task(self._watching.look()) if watched else None
        await closed_loop(phase, iter(self._bodies), self._streams)
        if watching:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        return phase


def processor_seconds(process: int) -> float:
    """What a process has used so far, in all of its threads. Linux only."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report(pairs: Sequence[Pair], streams: int) -> str:
    """Medians, and the mean of the pairs' own ratios with its standard error."""
    return table(
        ["streams", "figure", "plain", "watched", "watched / plain"],
        [
            _line(streams, "tokens/s", [(one.plain.rate, one.watched.rate) for one in pairs]),
            _line(
                streams,
                "processor time, ms a request",
                [(1000 * one.plain.processor, 1000 * one.watched.processor) for one in pairs],
            ),
        ],
    )


def _line(streams: int, figure: str, pairs: Sequence[tuple[float, float]]) -> list[str]:
    ratios = [watched / plain for plain, watched in pairs]
    middle = (f"{statistics.median(side):.1f}" for side in zip(*pairs, strict=True))
    error = statistics.stdev(ratios) / len(ratios) ** 0.5
    return [str(streams), figure, *middle, f"{statistics.mean(ratios):.3f} ± {error:.3f}"]


def measured(bundle: Path, streams: int, requests: int, max_tokens: int, servers: int, pairs: int) -> list[Pair]:
    """`pairs` of each of so many servers, one after the other; which turn comes first changes with each."""
    done = []
    for _ in range(servers):
        with tempfile.TemporaryDirectory() as scratch, (Path(scratch) / "log").open("wb") as lines:
            options = ["--log-level", "info", "--log-format", "json", "--audit", f"{scratch}/audit"]
            options += ["--max-batch", str(streams)]
            with own_process(bundle, options, lines, program="benchmarks.watched_server") as own:
                server = _warm(own, streams, requests, max_tokens)
                done += [server.pair(watched_first=bool(number % 2)) for number in range(pairs)]
    return done


def _warm(own: OwnServer, streams: int, requests: int, max_tokens: int) -> Watched:
    name = served_model(Server.at(own.url))
    bodies = [chat_body(name, picture, QUESTION, max_tokens) for picture in drawn_pictures(range(streams))]
    warm_up(Server.at(own.url), bodies, streams)
    return Watched(own, [bodies[number % streams] for number in range(requests)], streams)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watched", description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--requests", type=int, default=400, help="of one turn (default: 400)")
    parser.add_argument("--max-tokens", type=int, default=64, help="longest answer (default: 64)")
    parser.add_argument("--servers", type=int, default=4, help="started one after the other (default: 4)")
    parser.add_argument("--pairs", type=int, default=30, help="of turns, with each server (default: 30)")
    options = parser.parse_args()
    if options.servers * options.pairs < 2:
        parser.error("two pairs are needed at least: one ratio has no error")
    bundle = find_bundle(None if options.bundle == "demo" else Path(options.bundle))
    pairs = measured(bundle, options.streams, options.requests, options.max_tokens, options.servers, options.pairs)
    print(f"{heading()}\n\n{report(pairs, options.streams)}")


if __name__ == "__main__":
    sys.exit(run_command(main))
