"""A load, decided before the first request: what is sent, and when. Sends nothing.

Imports little by itself: the command's help names these numbers.
"""

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice, takewhile
from math import inf
from typing import TYPE_CHECKING

from edgevlm.bench.bodies import QUESTION, SEEDS, chat_bodies, drawn_pictures, picture_file
from edgevlm.errors import CommandError

if TYPE_CHECKING:
    from edgevlm.bench.phase import Phase

REQUESTS = 100
MOST_DRAWN = 1000
"""Pictures to draw where only time bounds how many are sent."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent and when.

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

    async def send(self, phase: "Phase") -> None:
        """All of it."""
        from edgevlm.bench.phase import closed_loop, open_loop

        if self.times is None:
            await closed_loop(phase, self.bodies, self.clients, self.seconds)
        else:
            await open_loop(phase, zip(self.times, self.bodies, strict=False))


def load_of(arguments: argparse.Namespace, model: str) -> Load:
    """As the options of `edgevlm bench http` ask for it. Raises `CommandError`."""
    seed = random.randrange(SEEDS) if arguments.seed is None else arguments.seed
    times = _times(arguments, seed)
    limit = _limit(arguments) if times is None else len(times)
    warm = arguments.warm_up or arguments.clients
    fresh = _fresh(arguments)
    pictures = _pictures(arguments, seed, limit + warm if fresh and limit is not None else 1)
    questions = arguments.question or [QUESTION]
    bodies = chat_bodies(model, pictures, questions, arguments.max_tokens, count=len(pictures) if fresh else None)
    turns = cycle(bodies)
    return Load(
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
            f"At {arguments.rate:g} requests per second, none is due within {until:g} s; give a larger --seconds."
        )
    return times


def _limit(arguments: argparse.Namespace) -> int | None:
    """How many requests there are at most; `None` where only the time bounds them."""
    if arguments.requests is not None:
        return int(arguments.requests)
    if arguments.seconds is None:
        return REQUESTS
    return MOST_DRAWN if _fresh(arguments) else None


def _fresh(arguments: argparse.Namespace) -> bool:
    """Each request has a drawing of its own, and all are drawn before."""
    return arguments.image is None and not arguments.same_image


def _pictures(arguments: argparse.Namespace, seed: int, count: int) -> list[str]:
    if arguments.image is not None:
        return [picture_file(path) for path in arguments.image[: 1 if arguments.same_image else None]]
    from tqdm import tqdm

    drawn = drawn_pictures(range(seed, seed + count))
    return list(tqdm(drawn, total=count, desc="drawing", unit=" pictures", disable=None, leave=False))


def _description(arguments: argparse.Namespace, model: str, seed: int) -> str:
    if arguments.rate is None:
        load = "1 client" if arguments.clients == 1 else f"{arguments.clients} clients"
    else:
        load = f"{arguments.rate:g} requests per second at random times (seed {seed})"
    if arguments.same_image or (arguments.image is not None and len(arguments.image) == 1):
        pictures = "always the same picture"
    elif arguments.image is None:
        pictures = "a fresh drawing each time"
    else:
        pictures = f"{len(arguments.image)} pictures in turn"
    return f"{model} at {arguments.url}: {load}, {pictures}, at most {arguments.max_tokens} tokens"
