"""The batcher's ledger: who is told of an end is counted once; and how sure an answer is, told with each token."""

import asyncio
import time
from collections import Counter, abc

import numpy as np
import pytest
from edgevlm_engines import Floats, Tokens
from edgevlm_engines.echo import EchoEngine
from edgevlm_server.errors import Unavailable
from edgevlm_server.observe.labels import EndReason
from edgevlm_server.runtime.batcher import Batcher
from edgevlm_server.runtime.sampling import SamplingParams
from edgevlm_server.runtime.sequence import End, Sequence, Ticket, Token

from tests.server.engines import echo_engine


class Ledger:
    """An observer that counts ends and looks at nothing else."""

    def __init__(self) -> None:
        self.ends: Counter[EndReason] = Counter()
        self.tokens = 0

    def load(self, running: int, waiting: int) -> None: ...

    def decoded(self, sequences: int, seconds: float) -> None: ...

    def prefilled(self, positions: int, seconds: float) -> None: ...

    def generated(self, tokens: int) -> None:
        self.tokens += tokens

    def reused(self, looked_up: int, found: int) -> None: ...

    def ended(self, reason: EndReason) -> None:
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


class Panic(BaseException):
    """As PyO3 raises it for what Rust did not foresee: it is no `Exception`."""


def test_whatever_ends_a_step_everyone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def panics(tokens: Tokens, lengths: Tokens) -> Floats:
        raise Panic

    async def play() -> None:
        engine, died = echo_engine(slots=1, image_tokens=4, max_chunk=64), asyncio.Event()
        monkeypatch.setattr(engine, "decode", panics)
        batcher = Batcher(engine, Ledger(), died.set)
        none = np.zeros((0, 4), np.float32)
        first, second = (
            batcher.submit(Sequence(np.array([1, 5, 6], np.int64), none, 9, frozenset({2}), SamplingParams()))
            for _ in range(2)
        )
        for ticket in (first, second):
            events = [event async for event in ticket.events()]
            assert isinstance(events[-1], End) and events[-1].reason == "error"
        await died.wait()
        batcher.refuse()
        await asyncio.to_thread(batcher.close)

    asyncio.run(asyncio.wait_for(play(), 60))


class Doubting(EchoEngine):
    """Stand-in for an engine: what it echoes has these probabilities, one token after the other."""

    probabilities = (0.9, 0.5, 0.8)

    def __init__(self) -> None:
        super().__init__(echo_engine(slots=2, image_tokens=4, max_chunk=64).info, end_token=2)
        self._steps = 0

    def prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats:
        logits: Floats = self._doubt(super().prefill(slot, start, tokens, features)[np.newaxis])[0]
        return logits

    def decode(self, tokens: Tokens, lengths: Tokens) -> Floats:
        return self._doubt(super().decode(tokens, lengths))

    def _doubt(self, logits: Floats) -> Floats:
        """One other token shares the rest of the probability."""
        out = np.full_like(logits, -40)
        best = logits.argmax(axis=1)
        sure = self.probabilities[self._steps]
        self._steps += 1
        rows = np.arange(len(out))
        out[rows, best], out[rows, best - 1] = np.log(sure), np.log(1 - sure)
        return out


def test_an_event_knows_when_it_came_about() -> None:
    """Whenever somebody reads it."""

    async def play() -> None:
        batcher = Batcher(Doubting(), Ledger(), lambda: None)
        none, began = np.zeros((0, 4), np.float32), time.monotonic()
        ticket = batcher.submit(Sequence(np.array([1, 5, 6, 7], np.int64), none, 3, frozenset({2})))
        ended = asyncio.Event()
        ticket.when_ended(lambda end: ended.set())
        await ended.wait()
        over = time.monotonic()
        times = [event.at async for event in ticket.events()]
        assert began < min(times) and max(times) < over
        assert times == sorted(times) and len(times) == 4
        batcher.refuse()
        await asyncio.to_thread(batcher.close)

    asyncio.run(play())


@pytest.mark.parametrize(
    ("temperature", "sure"),
    [(1.0, [0.9, 0.45, 0.36]), (0.5, [0.81 / 0.82, 0.5 * 0.81 / 0.82, 0.5 * 0.81 / 0.82 * 0.64 / 0.68])],
)
def test_how_sure_an_answer_is_comes_with_each_token(temperature: float, sure: abc.Sequence[float]) -> None:
    async def play() -> tuple[Sequence, list[float]]:
        batcher = Batcher(Doubting(), Ledger(), lambda: None, temperature=temperature)
        none = np.zeros((0, 4), np.float32)
        ticket: Ticket = batcher.submit(Sequence(np.array([1, 5, 6, 7], np.int64), none, 3, frozenset({2})))
        told = [event.confidence async for event in ticket.events() if isinstance(event, Token)]
        batcher.refuse()
        await asyncio.to_thread(batcher.close)
        return ticket.sequence, told

    sequence, told = asyncio.run(play())
    assert told == pytest.approx(sure, abs=1e-5)
    assert sequence.confidence == told[-1]
