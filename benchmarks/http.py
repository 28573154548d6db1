"""What clients of the server feel, alone and in a crowd: `python -m benchmarks.http BUNDLE` (or `demo`).

Cold runs send a fresh drawing each time, warm ones the same picture always. The last two rows ran together: warm
streams, and one client whose fresh pictures had to be encoded meanwhile. Client and server share the machine.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from itertools import count, islice, repeat
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.command import run_command
from benchmarks.machine import heading
from benchmarks.report import table
from edgevlm.bench.bodies import QUESTION, chat_bodies, drawn_pictures
from edgevlm.bench.client import Sample
from edgevlm.bench.phase import Phase, closed_loop
from edgevlm.bench.report import cached_text, errors_text, milliseconds, sample_json, summarise, summary_json
from edgevlm.bench.run import measure, warm_up
from edgevlm.demo_bundle import find_bundle
from edgevlm.http_client import Server
from edgevlm.own_server import own_server
from edgevlm.served_model import served_model

COLUMNS = (
    *("pictures", "clients", "requests", "errors", "requests/s", "tokens/s", "prompt cached"),
    *("to the first token", "between pieces of text", "to the end"),
)


class Row(NamedTuple):
    """One run: all that was seen in so many seconds."""

    pictures: str
    clients: int
    samples: list[Sample]
    seconds: float


class Bench:
    """Asks one server; no picture that is fresh has been sent to it before."""

    def __init__(self, server: Server, requests: int, max_tokens: int) -> None:
        self._server = server
        self._model = served_model(server)
        self._requests = requests
        self._max_tokens = max_tokens
        self._seeds = count()
        [self._same] = self._fresh(1)

    def cold(self, clients: int) -> Row:
        """A fresh picture with each request."""
        bodies = self._fresh(clients + self._requests)
        warm_up(self._server, bodies[:clients], clients)
        return self._row("cold", clients, lambda phase: closed_loop(phase, iter(bodies[clients:]), clients))

    def warm(self, clients: int) -> Row:
        """The same picture always."""
        warm_up(self._server, [self._same] * clients, clients)
        bodies = repeat(self._same, self._requests)
        return self._row("warm", clients, lambda phase: closed_loop(phase, bodies, clients))

    def together(self, streams: int) -> list[Row]:
        """Warm streams for as long as one client sends fresh pictures: what their encoding does to the streams."""
        fresh = self._fresh(self._requests)
        warm_up(self._server, [self._same] * streams, streams)
        beside: list[Phase] = []

        async def load(phase: Phase) -> None:
            running = asyncio.create_task(closed_loop(phase, repeat(self._same), streams))
            beside.append(Phase(self._server))
            await closed_loop(beside[0], iter(fresh), clients=1)
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

        warm = self._row("warm, beside the next row", streams, load)
        return [warm, Row("cold, beside the row above", 1, beside[0].samples, warm.seconds)]

    def _row(self, pictures: str, clients: int, load: Callable[[Phase], Coroutine[Any, Any, None]]) -> Row:
        phase, seconds, interrupted = measure(self._server, load, total=None)
        if interrupted:
            raise KeyboardInterrupt
        return Row(pictures, clients, phase.samples, seconds)

    def _fresh(self, number: int) -> list[bytes]:
        pictures = list(drawn_pictures(islice(self._seeds, number)))
        return chat_bodies(self._model, pictures, [QUESTION], self._max_tokens)


def cells(row: Row) -> list[str]:
    """A line of the table."""
    summary = summarise(row.samples, row.seconds)
    spreads = (summary.time_to_first_token, summary.gap, summary.end_to_end)
    return [
        row.pictures,
        str(row.clients),
        str(summary.requests),
        errors_text(summary),
        f"{summary.requests_per_second:.2f}",
        f"{summary.tokens_per_second:.1f}",
        cached_text(summary),
        *(" / ".join(milliseconds(spread)) for spread in spreads),
    ]


def rows(bench: Bench, clients: Sequence[int]) -> Iterator[Row]:
    """Every run, one after the other."""
    for number in clients:
        yield bench.cold(number)
        yield bench.warm(number)
    yield from bench.together(clients[len(clients) // 2])


def main() -> None:
    arguments, options = _parser().parse_known_args()
    bundle = find_bundle(None if arguments.bundle == "demo" else Path(arguments.bundle))
    with own_server(bundle, options) as url:
        bench = Bench(Server.at(url), arguments.requests, arguments.max_tokens)
        measured = list(rows(bench, arguments.clients))
    print(f"{heading()}; times in ms: p50 / p90 / p99 / max\n")
    print(table(COLUMNS, map(cells, measured)))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(_record(measured), indent=1) + "\n", encoding="utf-8")


def _record(measured: Sequence[Row]) -> dict[str, Any]:
    runs = [
        {
            "pictures": row.pictures,
            "clients": row.clients,
            "summary": summary_json(summarise(row.samples, row.seconds)),
            "requests": [sample_json(sample) for sample in row.samples],
        }
        for row in measured
    ]
    return {"heading": heading(), "runs": runs}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.http",
        description=(__doc__ or "").partition("\n")[0],
        epilog="Any other option is handed to 'edgevlm serve'.",
        allow_abbrev=False,
    )
    parser.add_argument("bundle", help="folder made by 'edgevlm export', or 'demo'")
    parser.add_argument("--clients", type=_numbers, default=[1, 4, 8], metavar="N,N,...", help="(default: 1,4,8)")
    parser.add_argument("--requests", type=int, default=64, metavar="N", help="of each run (default: 64)")
    parser.add_argument("--max-tokens", type=int, default=64, metavar="N", help="longest answer (default: 64)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every request's times")
    return parser


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    sys.exit(run_command(main))
