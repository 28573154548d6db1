"""Runs a load from a command line: a bar on a terminal, one sentence for a server that cannot be measured."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from tqdm import tqdm

from edgevlm.bench.client import NO_CONNECTION, NO_MODEL, OK, Failure, first_model
from edgevlm.bench.http import Endpoint
from edgevlm.bench.phase import Phase, closed_loop
from edgevlm.cli import CommandError


def served_model(endpoint: Endpoint) -> str:
    """The model that the server lists first. Raises `CommandError`."""
    try:
        return asyncio.run(first_model(endpoint))
    except Failure as failure:
        raise CommandError(_sentence(endpoint, failure.outcome, failure.detail)) from None


def warm_up(endpoint: Endpoint, bodies: Sequence[bytes], clients: int) -> None:
    """Send these and forget them. Raises `CommandError` if the first one is not answered."""
    with tqdm(total=len(bodies), desc="warming up", unit=" requests", disable=None, leave=False) as bar:
        phase = Phase(endpoint, bar.update)
        first = asyncio.run(phase.send(bodies[0], phase.now()))
        if first.outcome != OK:
            raise CommandError(_sentence(endpoint, first.outcome, first.detail))
        asyncio.run(closed_loop(phase, iter(bodies[1:]), clients))


def measure(
    endpoint: Endpoint, load: Callable[[Phase], Coroutine[Any, Any, None]], total: int | None
) -> tuple[Phase, float, bool]:
    """What the load has met, how many seconds it took, and whether Ctrl-C has cut it short."""
    with tqdm(total=total, desc="measuring", unit=" requests", disable=None, leave=False) as bar:
        phase = Phase(endpoint, bar.update)
        interrupted = asyncio.run(_interrupted(load(phase)))
        return phase, phase.now(), interrupted


async def _interrupted(work: Coroutine[Any, Any, None]) -> bool:
    """Do the work to its end, or to Ctrl-C, which before Python 3.11 would strike in the middle of any task."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return True
    finally:
        loop.remove_signal_handler(signal.SIGINT)
    return False


def _sentence(endpoint: Endpoint, outcome: str, detail: str) -> str:
    said = f": {detail.rstrip('.')}" if detail else ""
    if outcome == NO_CONNECTION:
        return f"{endpoint.url} cannot be reached{said}."
    if outcome == NO_MODEL:
        return f"{endpoint.url} lists no model; name one with --model."
    if outcome in ("401", "403"):
        wanted = "wants an API key, see --key-file" if endpoint.key is None else "does not accept this API key"
        return f"{endpoint.url} {wanted} ({outcome}{said})."
    if outcome == "404":
        return f"{endpoint.url} has no such model, or no chat endpoint under {endpoint.root} ({outcome}{said})."
    return f"{endpoint.url} cannot be measured: the first answer is {outcome}{said}."
