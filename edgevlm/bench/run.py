"""Runs a load from a command line: a bar on a terminal, one sentence for a server that cannot be measured."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from tqdm import tqdm

from edgevlm.bench.client import OK
from edgevlm.bench.phase import Phase, closed_loop
from edgevlm.errors import CommandError
from edgevlm.exchange_failure import sentence
from edgevlm.http_client import Server


def warm_up(server: Server, bodies: Sequence[bytes], clients: int) -> None:
    """Send these and forget them. Raises `CommandError` if the first one is not answered."""
    with tqdm(total=len(bodies), desc="warming up", unit=" requests", disable=None, leave=False) as bar:
        phase = Phase(server, bar.update)
        first = asyncio.run(phase.send(bodies[0], phase.now()))
        if first.outcome != OK:
            raise CommandError(sentence(server, first.outcome, first.detail, "measured"))
        asyncio.run(closed_loop(phase, iter(bodies[1:]), clients))


def measure(
    server: Server, load: Callable[[Phase], Coroutine[Any, Any, None]], total: int | None
) -> tuple[Phase, float, bool]:
    """What the load has met, how many seconds it took, and whether Ctrl-C has cut it short."""
    with tqdm(total=total, desc="measuring", unit=" requests", disable=None, leave=False) as bar:
        phase = Phase(server, bar.update)
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
