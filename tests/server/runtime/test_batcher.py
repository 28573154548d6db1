"""The batcher's ledger: whoever tells a request of its end, and however many do, it is counted once."""

import asyncio
import time
from collections import Counter

import numpy as np
from edgevlm_server.errors import Unavailable
from edgevlm_server.runtime.batcher import Batcher
from edgevlm_server.runtime.output import End, Reason
from edgevlm_server.runtime.sampling import SamplingParams
from edgevlm_server.runtime.sequence import Sequence

from tests.server.engines import echo_engine


class Ledger:
    """An observer that counts ends and looks at nothing else."""

    def __init__(self) -> None:
        self.ends: Counter[Reason] = Counter()
        self.tokens = 0

    def load(self, running: int, waiting: int) -> None: ...

    def decoded(self, sequences: int, seconds: float) -> None: ...

    def prefilled(self, positions: int, seconds: float) -> None: ...

    def generated(self, tokens: int) -> None:
        self.tokens += tokens

    def reused(self, looked_up: int, found: int) -> None: ...

    def ended(self, reason: Reason) -> None:
        self.ends[reason] += 1


def test_an_end_that_is_on_its_way_when_all_are_abandoned_is_counted_once() -> None:
    async def play() -> None:
        ledger, engine = Ledger(), echo_engine(slots=1, image_tokens=4, max_chunk=64)
        batcher = Batcher(engine, ledger, lambda: None)
        none = np.zeros((0, 4), np.float32)
        ticket = batcher.submit(Sequence(np.array([1, 5, 6], np.int64), none, 1, frozenset({2}), SamplingParams()))
        deadline = time.monotonic() + 20
        while not ledger.tokens:  # the loop is held up, so that the thread cannot deliver what it has
            assert time.monotonic() < deadline
            time.sleep(0.001)
        batcher.abandon(Unavailable.dead)
        events = [event async for event in ticket.events()]
        await asyncio.sleep(0.05)
        assert [type(event) for event in events] == [End]
        assert ledger.ends == {"error": 1}
        batcher.refuse()
        await asyncio.to_thread(batcher.close)

    asyncio.run(play())
