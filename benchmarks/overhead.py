"""What serving adds to the engine: `python -m benchmarks.overhead BUNDLE`.

Streams of one length decode together, once as HTTP clients' answers and once as bare calls of the engine, in turn.
The first are counted by the server's own metrics, between two moments at which every stream was decoding.
"""

import argparse
import asyncio
import re
import statistics
import sys
import time
from collections.abc import Coroutine, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.command import run_command
from benchmarks.figures import Job, measure_apart
from benchmarks.machine import cores, heading
from benchmarks.report import table
from edgevlm.bench.bodies import QUESTION, chat_body, drawn_pictures
from edgevlm.bench.phase import Phase, closed_loop
from edgevlm.bench.run import measure, warm_up
from edgevlm.errors import CommandError
from edgevlm.http_client import Server
from edgevlm.http_client import read as read_answer
from edgevlm.own_server import own_server
from edgevlm.served_model import served_model

POLL_SECONDS = 0.2


class Reading(NamedTuple):
    """The server's counters at a moment, in seconds: slots taken, prompt positions taken in, tokens generated."""

    moment: float
    running: int
    prompted: int
    generated: int


class Served(NamedTuple):
    """Tokens a second of all streams together, and how many positions a slot held on average meanwhile."""

    rate: float
    length: int


class Round(NamedTuple):
    """Tokens a second: through HTTP, and of the engine alone at the same lengths."""

    served: float
    engine: float


def steady(readings: Sequence[Reading], streams: int) -> tuple[Reading, Reading]:
    """The first and last moment between which all streams decoded and no prompt was taken in.

    Raises `CommandError` if there was no such time.
    """
    busy = [after for before, after in pairwise(readings) if _only_decodes(before, after, streams)]
    if len(busy) < 2:
        raise CommandError("The streams never decoded all together; give them a larger --max-tokens.")
    return busy[0], busy[-1]


def read(metrics: str, moment: float) -> Reading:
    """From the text of `/metrics`."""
    names = ("num_requests_running", "prompt_tokens_total", "generation_tokens_total")
    found = [re.search(rf"^edgevlm_{name} (\S+)$", metrics, re.MULTILINE) for name in names]
    running, prompted, generated = (int(float(match[1])) if match else 0 for match in found)
    return Reading(moment, running, prompted, generated)


def served(url: str, streams: int, max_tokens: int) -> Served:
    """Ask about one picture from every stream at once; its features and the prompt's beginning are in the caches."""
    server = Server.at(url)
    [picture] = drawn_pictures([0])
    body = chat_body(served_model(server), picture, QUESTION, max_tokens)
    warm_up(server, [chat_body(served_model(server), picture, QUESTION, 1)], 1)
    readings: list[Reading] = []

    def load(phase: Phase) -> Coroutine[Any, Any, None]:
        return _watched(closed_loop(phase, iter([body] * streams), streams), server, readings)

    phase, _, interrupted = measure(server, load, total=None)
    if interrupted:
        raise KeyboardInterrupt
    first, last = steady(readings, streams)
    prompts = [sample.prompt_tokens or 0 for sample in phase.samples]
    answered = (first.generated + last.generated) / 2 - readings[0].generated
    rate = (last.generated - first.generated) / (last.moment - first.moment)
    return Served(rate, round(statistics.fmean(prompts) + answered / streams))


async def _watched(load: Coroutine[Any, Any, None], server: Server, readings: list[Reading]) -> None:
    """Read the metrics from before the load until it has ended."""
    readings.append(await _fetch(server))
    task = asyncio.ensure_future(load)
    while not task.done():
        await asyncio.wait({task}, timeout=POLL_SECONDS)
        readings.append(await _fetch(server))
    await task


async def _fetch(server: Server) -> Reading:
    answer = await read_answer(server, "GET", "/metrics")
    return read(answer.body.decode(), time.perf_counter())


def _only_decodes(before: Reading, after: Reading, streams: int) -> bool:
    return before.running == after.running == streams and before.prompted == after.prompted


def compete(bundle: Path, streams: int, threads: int, max_tokens: int) -> Round:
    """One round: through HTTP, then the engine alone, as many steps around the same length."""
    options = ["--max-batch", str(streams), "--threads", str(threads)]
    with own_server(bundle, options) as url:
        rate, length = served(url, streams, max_tokens)
    steps = max_tokens // 2
    figures = measure_apart(Job(bundle, threads, (streams,), length - steps // 2, steps))
    return Round(rate, streams / figures.decode[streams].mean)


def report(rounds: Sequence[Round], streams: int) -> str:
    """Medians, and the range of the rounds' own shares."""
    shares = [100 * (one.engine / one.served - 1) for one in rounds]
    figures = [
        str(streams),
        f"{statistics.median(one.engine for one in rounds):.1f}",
        f"{statistics.median(one.served for one in rounds):.1f}",
        f"{statistics.median(shares):.1f} %",
        f"{min(shares):.1f} to {max(shares):.1f} %",
    ]
    return table(["streams", "engine, tokens/s", "through HTTP, tokens/s", "added", "in rounds"], [figures])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--threads", type=int, default=cores(), help="(default: one per physical core)")
    parser.add_argument("--max-tokens", type=int, default=192, help="longest answer (default: 192)")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    bundle = options.bundle.resolve()
    rounds = [compete(bundle, options.streams, options.threads, options.max_tokens) for _ in range(options.rounds)]
    print(f"{heading()}; {options.threads} threads\n\n{report(rounds, options.streams)}")


if __name__ == "__main__":
    sys.exit(run_command(main))
