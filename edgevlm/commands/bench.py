"""`edgevlm bench http`: load for a chat endpoint of OpenAI's kind, and what its clients would feel."""

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice, takewhile
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from edgevlm.cli import EXIT_FAILED, EXIT_INTERRUPTED, CommandError

if TYPE_CHECKING:
    from edgevlm.bench.client import Sample
    from edgevlm.bench.phase import Phase
    from edgevlm.bench.report import Summary

URL = "http://127.0.0.1:8000"
REQUESTS = 100
MOST_DRAWN = 1000
"""Pictures to draw where only time bounds how many are sent."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    http = kinds.add_parser("http", help="send chat requests to a server and measure what its clients would feel")
    http.add_argument("--url", default=URL, help=f"the server, with or without /v1 (default: {URL})")
    http.add_argument("--model", metavar="NAME", help="model to ask for (default: the first that the server lists)")
    keys = http.add_mutually_exclusive_group()
    keys.add_argument("--key", help="API key; others on this machine may see it in the list of processes")
    keys.add_argument("--key-file", type=Path, metavar="FILE", help="file that holds the API key")
    _add_what(http)
    _add_how_much(http)
    http.add_argument("--json", type=Path, metavar="FILE", help="write every request's times")


def _add_what(http: argparse.ArgumentParser) -> None:
    http.add_argument(
        "--image",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="pictures to send in turn (default: drawn, a fresh one each)",
    )
    http.add_argument("--same-image", action="store_true", help="send one picture always, so that caches are warm")
    http.add_argument("--question", nargs="+", metavar="TEXT", help="questions to ask in turn")
    http.add_argument("--max-tokens", type=_positive, default=64, metavar="N", help="longest answer (default: 64)")


def _add_how_much(http: argparse.ArgumentParser) -> None:
    load = http.add_mutually_exclusive_group()
    load.add_argument(
        "--clients",
        type=_positive,
        default=1,
        metavar="N",
        help="each sends when its last answer has ended (default: 1)",
    )
    load.add_argument(
        "--rate", type=_above_zero, metavar="R", help="requests a second at random times, whether answers come or not"
    )
    http.add_argument("--requests", type=_positive, metavar="N", help=f"requests to send (default: {REQUESTS})")
    http.add_argument(
        "--seconds",
        type=_above_zero,
        metavar="S",
        help=f"send no more after this time; at most {MOST_DRAWN} drawings without --requests",
    )
    http.add_argument(
        "--warm-up", type=_positive, metavar="N", help="requests before, not counted (default: one a client)"
    )
    http.add_argument(
        "--seed",
        type=_not_negative,
        metavar="N",
        help="of drawn pictures and random times (default: another each time, so that "
        "no picture of an earlier run is in the server's cache)",
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """What is sent and when: all that is decided before the first request.

    `times`, in seconds, are those of an open loop; `None` means a closed loop of `clients`. It ends when `bodies` are
    used up, or after `seconds`; `total` is how many bodies there are, `None` if they do not end.
    """

    description: str
    seed: int
    warm_up: list[bytes]
    bodies: Iterator[bytes]
    total: int | None
    clients: int
    times: list[float] | None
    seconds: float

    async def load(self, phase: "Phase") -> None:
        from edgevlm.bench.phase import closed_loop, open_loop

        if self.times is None:
            await closed_loop(phase, self.bodies, self.clients, self.seconds)
        else:
            await open_loop(phase, zip(self.times, self.bodies, strict=False))


def run(arguments: argparse.Namespace) -> int:
    from edgevlm.bench.http import Endpoint
    from edgevlm.bench.report import markdown, summarise
    from edgevlm.bench.run import measure, served_model, warm_up

    endpoint = Endpoint.at(arguments.url, _key(arguments))
    plan = _plan(arguments, arguments.model or served_model(endpoint))
    warm_up(endpoint, plan.warm_up, plan.clients)
    print(f"Measuring {plan.description}. Ctrl-C ends it and shows what there is.", file=sys.stderr, flush=True)
    phase, seconds, interrupted = measure(endpoint, plan.load, plan.total)
    if plan.times is None and arguments.requests is None and not interrupted and seconds < plan.seconds < inf:
        print(
            f"All {plan.total} drawings were sent before the time was over; --requests draws more.", file=sys.stderr
        )
    summary = summarise(phase.samples, seconds)
    print(f"{plan.description}\n\n{markdown(summary)}", end="", flush=True)
    if arguments.json is not None:
        _write_json(arguments.json, plan, summary, phase.samples)
    if interrupted:
        return EXIT_INTERRUPTED
    return 0 if summary.ok else EXIT_FAILED


def _plan(arguments: argparse.Namespace, model: str) -> Plan:
    from edgevlm.bench.bodies import QUESTION, SEEDS, chat_bodies

    seed = random.randrange(SEEDS) if arguments.seed is None else arguments.seed
    times = _times(arguments, seed)
    limit = _limit(arguments) if times is None else len(times)
    warm = arguments.warm_up or arguments.clients
    fresh = arguments.image is None and not arguments.same_image
    if fresh and limit is None:
        limit = MOST_DRAWN
    pictures = _pictures(arguments, seed, limit + warm if fresh and limit is not None else 1)
    questions = arguments.question or [QUESTION]
    bodies = chat_bodies(model, pictures, questions, arguments.max_tokens, count=len(pictures) if fresh else None)
    turns = cycle(bodies)
    return Plan(
        description=_description(arguments, model, seed),
        seed=seed,
        warm_up=list(islice(turns, warm)),
        bodies=islice(turns, limit),
        total=limit,
        clients=arguments.clients,
        times=times,
        seconds=arguments.seconds or inf,
    )


def _times(arguments: argparse.Namespace, seed: int) -> list[float] | None:
    from edgevlm.bench.phase import poisson_times

    if arguments.rate is None:
        return None
    until = arguments.seconds or inf
    times = list(islice(takewhile(lambda time: time < until, poisson_times(arguments.rate, seed)), _limit(arguments)))
    if not times:
        raise CommandError(
            f"At {arguments.rate:g} requests a second none falls into {until:g} s; give more --seconds."
        )
    return times


def _limit(arguments: argparse.Namespace) -> int | None:
    """How many requests were asked for; `None` where only the time bounds them."""
    if arguments.requests is None and arguments.seconds is None:
        return REQUESTS
    limit: int | None = arguments.requests
    return limit


def _pictures(arguments: argparse.Namespace, seed: int, count: int) -> list[str]:
    from edgevlm.bench.bodies import drawn_pictures, picture_file

    if arguments.image is not None:
        return [picture_file(path) for path in arguments.image[: 1 if arguments.same_image else None]]
    from tqdm import tqdm

    drawn = drawn_pictures(range(seed, seed + count))
    return list(tqdm(drawn, total=count, desc="drawing", unit=" pictures", disable=None, leave=False))


def _description(arguments: argparse.Namespace, model: str, seed: int) -> str:
    if arguments.rate is None:
        load = "1 client" if arguments.clients == 1 else f"{arguments.clients} clients"
    else:
        load = f"{arguments.rate:g} requests a second at random times (seed {seed})"
    if arguments.same_image or (arguments.image is not None and len(arguments.image) == 1):
        pictures = "the same picture always"
    elif arguments.image is None:
        pictures = "a fresh drawing each time"
    else:
        pictures = f"{len(arguments.image)} pictures in turn"
    return f"{model} at {arguments.url}: {load}, {pictures}, at most {arguments.max_tokens} tokens"


def _key(arguments: argparse.Namespace) -> str | None:
    if arguments.key_file is None:
        key: str | None = arguments.key
        return key
    try:
        text: str = arguments.key_file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise CommandError(f"{arguments.key_file} cannot be read: {reason}.") from None
    return text.strip()


def _write_json(path: Path, plan: Plan, summary: "Summary", samples: Sequence["Sample"]) -> None:
    from edgevlm.bench.report import sample_json, summary_json

    record = {
        "description": plan.description,
        "seed": plan.seed,
        "summary": summary_json(summary),
        "requests": [sample_json(sample) for sample in samples],
    }
    try:
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None


def _positive(text: str) -> int:
    value = _not_negative(text)
    if value == 0:
        raise argparse.ArgumentTypeError("a whole number of at least 1 is needed")
    return value


def _not_negative(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError("a whole number is needed")
    return int(text)


def _above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < inf:
        raise argparse.ArgumentTypeError("a number above 0 is needed")
    return value
