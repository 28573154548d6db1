"""What it costs a server to be watched: `python -m benchmarks.watched BUNDLE` (or `demo`).

Two servers of the same bundle stand side by side and are asked in turn. One writes a log as JSON and an audit, is
scraped as often as `docker/monitoring` does, and its status is looked at as often as the page does; the other only
counts, as every server does. Each round starts both anew: two processes of one program differ by more than what is
sought here, for as long as they run. The clients wait for each other, so throughput is tokens over time; processor
time is that of the server alone.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.command import run_command
from benchmarks.machine import heading
from benchmarks.report import table
from edgevlm.bench.bodies import QUESTION, chat_body, drawn_pictures
from edgevlm.bench.client import OK
from edgevlm.bench.phase import Phase, closed_loop
from edgevlm.bench.run import warm_up
from edgevlm.cli import CommandError
from edgevlm.demo_bundle import find_bundle
from edgevlm.http_client import Server, read
from edgevlm.own_server import OwnServer, own_process
from edgevlm.served_model import served_model

SCRAPE_SECONDS = 15.0
LOOK_SECONDS = 2.0
"""As the page does."""


class Cost(NamedTuple):
    """Of one turn: tokens a second of all streams, and the server's processor time for a request in seconds."""

    rate: float
    processor: float


class Round(NamedTuple):
    """One turn of each server."""

    plain: Cost
    watched: Cost


def turn(own: OwnServer, bodies: Sequence[bytes], streams: int, *, watched: bool) -> Cost:
    """Ask one server. Raises `CommandError` if a request is not answered."""
    server = Server.at(own.url)
    before, began = processor_seconds(own.process), time.perf_counter()
    phase = asyncio.run(_asked(server, bodies, streams, watched=watched))
    seconds = time.perf_counter() - began
    failed = [sample.outcome for sample in phase.samples if sample.outcome != OK]
    if failed:
        raise CommandError(f"{len(failed)} requests were not answered: {failed[0]}.")
    tokens = sum(sample.completion_tokens or 0 for sample in phase.samples)
    return Cost(tokens / seconds, (processor_seconds(own.process) - before) / len(bodies))


def processor_seconds(process: int) -> float:
    """What a process has used so far, in all of its threads. Linux only."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report(rounds: Sequence[Round], streams: int) -> str:
    """Medians, and those of the rounds' own ratios."""
    return table(
        ["streams", "figure", "plain", "watched", "watched / plain", "in rounds"],
        [
            _line(streams, "tokens/s", [(one.plain.rate, one.watched.rate) for one in rounds]),
            _line(
                streams,
                "processor time, ms a request",
                [(1000 * one.plain.processor, 1000 * one.watched.processor) for one in rounds],
            ),
        ],
    )


def _line(streams: int, figure: str, pairs: Sequence[tuple[float, float]]) -> list[str]:
    ratios = [watched / plain for plain, watched in pairs]
    middle = (f"{statistics.median(side):.1f}" for side in zip(*pairs, strict=True))
    return [
        *(str(streams), figure, *middle),
        *(f"{statistics.median(ratios):.3f}", f"{min(ratios):.3f} to {max(ratios):.3f}"),
    ]


async def _asked(server: Server, bodies: Sequence[bytes], streams: int, *, watched: bool) -> Phase:
    phase = Phase(server)
    looks = [(SCRAPE_SECONDS, "/metrics"), (LOOK_SECONDS, "/status")] if watched else []
    watching = [asyncio.create_task(_look(server, seconds, path)) for seconds, path in looks]
    await closed_loop(phase, iter(bodies), streams)
    for task in watching:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return phase


async def _look(server: Server, seconds: float, path: str) -> None:
    while True:
        await read(server, "GET", path)
        await asyncio.sleep(seconds)


def measured(bundle: Path, streams: int, requests: int, max_tokens: int, rounds: int) -> list[Round]:
    """Rounds in turn; which server begins changes with each."""
    with tempfile.TemporaryDirectory() as scratch:
        done = []
        for number in range(rounds):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            with _both(bundle, folder, streams) as pair:
                done.append(_round(*pair, streams, requests, max_tokens, watched_first=bool(number % 2)))
        return done


@contextmanager
def _both(bundle: Path, scratch: Path, streams: int) -> Iterator[tuple[OwnServer, OwnServer]]:
    """The plain one and the watched one."""
    batch = ["--max-batch", str(streams)]
    watching = ["--log-level", "info", "--log-format", "json", "--audit", str(scratch / "audit")]
    with (
        (scratch / "log").open("wb") as lines,
        own_process(bundle, batch) as plain,
        own_process(bundle, [*batch, *watching], lines) as watched,
    ):
        yield plain, watched


def _round(
    plain: OwnServer, watched: OwnServer, streams: int, requests: int, max_tokens: int, *, watched_first: bool
) -> Round:
    name = served_model(Server.at(plain.url))
    bodies = [chat_body(name, picture, QUESTION, max_tokens) for picture in drawn_pictures(range(streams))]
    for own in (plain, watched):
        warm_up(Server.at(own.url), bodies, streams)
    asked = [bodies[number % streams] for number in range(requests)]
    if watched_first:
        second = turn(watched, asked, streams, watched=True)
        return Round(turn(plain, asked, streams, watched=False), second)
    return Round(turn(plain, asked, streams, watched=False), turn(watched, asked, streams, watched=True))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watched", description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--requests", type=int, default=2000, help="of one turn (default: 2000)")
    parser.add_argument("--max-tokens", type=int, default=64, help="longest answer (default: 64)")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    bundle = find_bundle(None if options.bundle == "demo" else Path(options.bundle))
    rounds = measured(bundle, options.streams, options.requests, options.max_tokens, options.rounds)
    print(f"{heading()}\n\n{report(rounds, options.streams)}")


if __name__ == "__main__":
    sys.exit(run_command(main))
