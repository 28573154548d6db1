"""`edgevlm bench http`: load for a chat endpoint of OpenAI's kind, and what its clients would feel."""

import argparse
import json
import sys
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from edgevlm_server.option_values import above_zero, at_least_one, not_negative

from edgevlm.bench.load import MOST_DRAWN, REQUESTS, load_of
from edgevlm.cli import EXIT_FAILED, EXIT_INTERRUPTED
from edgevlm.errors import CommandError
from edgevlm.key_file import read_key

if TYPE_CHECKING:
    from edgevlm.bench.client import Sample
    from edgevlm.bench.load import Load
    from edgevlm.bench.report import Summary

URL = "http://127.0.0.1:8000"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    http = kinds.add_parser("http", help="send chat requests to a server and measure what its clients would feel")
    http.add_argument("--url", default=URL, help=f"the server, with or without /v1 (default: {URL})")
    http.add_argument("--model", metavar="NAME", help="model to ask (default: the first one the server lists)")
    keys = http.add_mutually_exclusive_group()
    keys.add_argument("--key", help="API key; other users of this machine may see it in the process list")
    keys.add_argument("--key-file", type=Path, metavar="FILE", help="file that holds the API key")
    _add_what(http)
    _add_how_much(http)
    http.add_argument("--json", type=Path, metavar="FILE", help="write the times of every request")


def _add_what(http: argparse.ArgumentParser) -> None:
    http.add_argument(
        "--image",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="pictures to send in turn (default: a newly drawn one each time)",
    )
    http.add_argument(
        "--same-image", action="store_true", help="always send the same picture, so that caches are warm"
    )
    http.add_argument("--question", nargs="+", metavar="TEXT", help="questions to ask in turn")
    http.add_argument(
        "--max-tokens", type=at_least_one, default=64, metavar="N", help="longest answer, in tokens (default: 64)"
    )


def _add_how_much(http: argparse.ArgumentParser) -> None:
    load = http.add_mutually_exclusive_group()
    load.add_argument(
        "--clients",
        type=at_least_one,
        default=1,
        metavar="N",
        help="number of clients; each sends its next request when its last answer has ended (default: 1)",
    )
    load.add_argument(
        "--rate",
        type=above_zero,
        metavar="R",
        help="requests per second, at random times, whether or not answers come back",
    )
    http.add_argument("--requests", type=at_least_one, metavar="N", help=f"requests to send (default: {REQUESTS})")
    http.add_argument(
        "--seconds",
        type=above_zero,
        metavar="S",
        help=f"stop sending after this time; without --requests, after {MOST_DRAWN} drawn pictures at the latest",
    )
    http.add_argument(
        "--warm-up",
        type=at_least_one,
        metavar="N",
        help="requests sent first and not counted (default: one per client)",
    )
    http.add_argument(
        "--seed",
        type=not_negative,
        metavar="N",
        help="seed of drawn pictures and random times (default: a new one each time, so that the server's cache "
        "holds no picture from an earlier run)",
    )


def run(arguments: argparse.Namespace) -> int:
    from edgevlm.bench.report import markdown, summarise
    from edgevlm.bench.run import measure, warm_up
    from edgevlm.http_client import Server
    from edgevlm.served_model import served_model

    server = Server.at(arguments.url, _key(arguments))
    load = load_of(arguments, arguments.model or served_model(server, "; name one with --model", "measured"))
    warm_up(server, load.warm_up, load.clients)
    print(
        f"Measuring {load.description}. Ctrl-C stops early and shows the results so far.", file=sys.stderr, flush=True
    )
    phase, seconds, interrupted = measure(server, load.send, load.total)
    drawn_out = load.total == MOST_DRAWN and arguments.requests is None
    if drawn_out and not interrupted and seconds < load.seconds < inf:
        print(f"All {load.total} pictures were sent before the time was up; --requests draws more.", file=sys.stderr)
    summary = summarise(phase.samples, seconds)
    print(f"{load.description}\n\n{markdown(summary)}", end="", flush=True)
    if arguments.json is not None:
        _write_json(arguments.json, load, summary, phase.samples)
    if interrupted:
        return EXIT_INTERRUPTED
    return 0 if summary.ok else EXIT_FAILED


def _key(arguments: argparse.Namespace) -> str | None:
    key: str | None = arguments.key
    return key if arguments.key_file is None else read_key(arguments.key_file)


def _write_json(path: Path, load: "Load", summary: "Summary", samples: Sequence["Sample"]) -> None:
    from edgevlm.bench.report import sample_json, summary_json

    record = {
        "description": load.description,
        "seed": load.seed,
        "summary": summary_json(summary),
        "requests": [sample_json(sample) for sample in samples],
    }
    try:
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
