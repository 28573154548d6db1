"""Answers read from tickets: their latencies are those of the engine, however late an answer is read."""

import asyncio

import numpy as np
import pytest
from edgevlm_server.observe.metrics import Metrics
from edgevlm_server.refusals import Judge
from edgevlm_server.runtime.output import Answer
from edgevlm_server.runtime.sequence import End, Sequence, Ticket, Token
from edgevlm_server.text.detokenizer import Detokenizer

from tests.server.guided.test_constraints import TOKENIZER


def test_latencies_are_those_of_the_engine_and_not_of_the_reader() -> None:
    async def play() -> Metrics:
        metrics, arrived = Metrics(), 100.0
        ticket = Ticket(
            Sequence(np.array([1, 5], np.int64), np.zeros((0, 4), np.float32), 3, frozenset({2})), _no_end
        )
        for at in (102.0, 102.5, 103.5):
            ticket.deliver(Token(5, at))
        ticket.deliver(End("length", at=103.75))
        # long after: the fields in front of it took their time
        answer = Answer(ticket, TOKENIZER, Detokenizer(TOKENIZER), Judge("no"), metrics, arrived)
        assert [piece.finish_reason async for piece in answer.pieces()][-1] == "length"
        return metrics

    text = asyncio.run(play()).text().decode()
    for name, value in (
        ("time_to_first_token_seconds_sum", 2.0),
        ("inter_token_latency_seconds_sum", 1.5),
        ("e2e_request_latency_seconds_sum", 3.75),
    ):
        [found] = [line.split()[-1] for line in text.splitlines() if line.startswith(f"edgevlm_{name}")]
        assert float(found) == pytest.approx(value)


def _no_end(ticket: Ticket, reason: str) -> None:
    raise AssertionError("it ends by itself")
