"""What affinity is worth to a site of three devices: `python -m benchmarks.site [BUNDLE]`.

Real servers behind a real nginx with docs/nginx-site.conf, all on this machine. Each picture is asked about several
times, in an order drawn once; what is counted is how often a device had its features already.
"""

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import NamedTuple

from benchmarks.command import run_command
from benchmarks.machine import heading
from benchmarks.nginx import nginx
from benchmarks.report import percent, table
from edgevlm.bench.bodies import QUESTION, chat_bodies, drawn_pictures
from edgevlm.demo_bundle import find_bundle
from edgevlm.errors import CommandError
from edgevlm.http_client import Server, fetch
from edgevlm.own_server import own_server
from edgevlm.served_model import served_model

DEVICES = 3
AFFINITY = "x-edgevlm-affinity"
QUERIES = "edgevlm_mm_cache_queries_total"
HITS = "edgevlm_mm_cache_hits_total"
COLUMNS = ("requests go", "requests", "pictures looked up", "found", "hit rate", "mean answer")
MAX_TOKENS = 8
REQUEST_SECONDS = 60.0


class Way(NamedTuple):
    """How requests find a device."""

    name: str
    hashed: bool
    header: bool


WAYS = (
    Way("by the picture's hash in the header", hashed=True, header=True),
    Way("without the header", hashed=True, header=False),
    Way("in turn (round robin)", hashed=False, header=False),
)


class Row(NamedTuple):
    """One way: what the devices counted, and seconds of all answers together."""

    way: Way
    requests: int
    queries: int
    hits: int
    seconds: float

    @property
    def hit_rate(self) -> float:
        return self.hits / self.queries


@contextmanager
def devices(bundle: Path, options: Sequence[str] = ()) -> Iterator[list[str]]:
    """Addresses of servers on the same bundle, each with one thread."""
    with ExitStack() as stack:
        yield [stack.enter_context(own_server(bundle, ["--threads", "1", *options])) for _ in range(DEVICES)]


def measured(urls: Sequence[str], pictures: int, questions: int) -> Iterator[Row]:
    """Every way in turn; each has pictures that no device has seen, asked about in the same order."""
    seeds, model = count(), served_model(Server.at(urls[0]))
    for way in WAYS:
        drawn = list(drawn_pictures(islice(seeds, pictures)))
        bodies = chat_bodies(model, drawn, [QUESTION], MAX_TOKENS)
        order = list(range(pictures)) * questions
        Random(0).shuffle(order)
        with tempfile.TemporaryDirectory() as folder:
            hosts = [url.removeprefix("http://") for url in urls]
            with nginx(hosts, Path(folder), affinity=way.hashed) as site:
                yield _row(way, urls, site, [(drawn[index], bodies[index]) for index in order])


def cells(row: Row) -> list[str]:
    """A line of the table."""
    mean = f"{1000 * row.seconds / row.requests:.0f} ms"
    return [row.way.name, str(row.requests), str(row.queries), str(row.hits), percent(row.hit_rate), mean]


def main() -> None:
    arguments = _parser().parse_args()
    with devices(find_bundle(arguments.bundle)) as urls:
        rows = list(measured(urls, arguments.pictures, arguments.questions))
    print(heading())
    print(f"{DEVICES} devices, {arguments.pictures} pictures, {arguments.questions} questions about each\n")
    print(table(COLUMNS, map(cells, rows)))


def _row(way: Way, urls: Sequence[str], site: str, asked: Sequence[tuple[str, bytes]]) -> Row:
    before = _counted(urls)
    began = time.perf_counter()
    for picture, body in asked:
        _ask(site, body, hashlib.sha256(picture.encode()).hexdigest() if way.header else None)
    seconds = time.perf_counter() - began
    queries, hits = (after - then for after, then in zip(_counted(urls), before, strict=True))
    return Row(way, len(asked), queries, hits, seconds)


def _ask(site: str, body: bytes, affinity: str | None) -> None:
    """One question, read to its end. Raises `CommandError`."""
    headers = {} if affinity is None else {AFFINITY: affinity}
    answer = fetch(Server.at(site), "POST", "/v1/chat/completions", body, headers, seconds=REQUEST_SECONDS)
    if answer.status != 200:
        raise CommandError(f"The site answered {answer.status}: {answer.body[:300].decode(errors='replace')}")
    if b"data: [DONE]" not in answer.body:
        raise CommandError("The site's answer has no end.")


def _counted(urls: Sequence[str]) -> tuple[int, int]:
    """Pictures looked up and found, of all devices together."""
    totals = {QUERIES: 0, HITS: 0}
    for url in urls:
        answer = fetch(Server.at(url), "GET", "/metrics", seconds=REQUEST_SECONDS)
        for line in answer.body.decode().splitlines():
            name, _, value = line.partition(" ")
            if name in totals:
                totals[name] += int(float(value))
    return totals[QUERIES], totals[HITS]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.site", description=(__doc__ or "").partition("\n")[0], allow_abbrev=False
    )
    parser.add_argument("bundle", nargs="?", type=Path, help="folder made by 'edgevlm export' (default: the demo)")
    parser.add_argument("--pictures", type=int, default=24, metavar="N", help="of each way (default: 24)")
    parser.add_argument("--questions", type=int, default=6, metavar="N", help="about each picture (default: 6)")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
