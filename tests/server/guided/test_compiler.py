"""Compiled grammars are counted in bytes, and one client's do not stand in the way of others'."""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from edgevlm_server.errors import InvalidRequest, Unavailable
from edgevlm_server.guided import compiler as module
from edgevlm_server.guided.compiler import MOST_BYTES, QUICK, GrammarCompiler
from edgevlm_server.guided.constraint import Constraint, ConstraintFailed
from edgevlm_server.guided.grammar import one_of, valid_json
from edgevlm_server.guided.sandbox import MAX_BYTES, Failure
from edgevlm_server.request import Structure
from edgevlm_server.text.tokenizer import Tokenizer
from llguidance import LLParserLimits

from tests.conftest import GOLDEN

TOKENIZER = Tokenizer(GOLDEN / "v2" / "checkpoint" / "tokenizer.model")

Try = Callable[[str, float], int | Failure]


@pytest.fixture
def compiler() -> GrammarCompiler:
    return GrammarCompiler(TOKENIZER, bos_id=1, end_ids={2})


def numbered(number: int) -> Structure:
    """Grammars that are as good as any; what they weigh is for each test to say."""
    return Structure(one_of([f"answer {number}"]), "test", risky=True)


@pytest.fixture
def weigh(monkeypatch: pytest.MonkeyPatch) -> Callable[[Try], None]:
    """Puts a function in place of trials."""
    return lambda trial: monkeypatch.setattr(module, "tried", trial)


def test_all_grammars_together_have_a_bound(compiler: GrammarCompiler, weigh: Callable[[Try], None]) -> None:
    weigh(lambda grammar, seconds: MAX_BYTES)
    most = MOST_BYTES // MAX_BYTES

    async def run() -> None:
        for number in range(2 * most):
            await compiler.compile(numbered(number), "a")
            assert compiler._weight() <= MOST_BYTES
        assert len(compiler._compiled) == most
        followed = [await compiler.compile(numbered(number), "a") for number in range(most)]
        with pytest.raises(Unavailable):
            await compiler.compile(numbered(most), "a")
        followed.pop()
        assert await compiler.compile(numbered(most), "a")

    asyncio.run(run())


def test_what_was_refused_is_not_tried_again(compiler: GrammarCompiler, weigh: Callable[[Try], None]) -> None:
    trials: list[float] = []

    def slow(grammar: str, seconds: float) -> Failure:
        trials.append(seconds)
        return Failure.TOO_SLOW

    weigh(slow)

    async def run() -> None:
        for _ in range(3):
            with pytest.raises(InvalidRequest):
                await compiler.compile(numbered(0), "a")

    asyncio.run(run())
    assert len(trials) == 2 and trials[0] == QUICK < trials[1]


def test_usual_grammars_do_not_wait_for_slow_ones(compiler: GrammarCompiler, weigh: Callable[[Try], None]) -> None:
    let_go = threading.Event()

    def trial(grammar: str, seconds: float) -> int | Failure:
        if "answer 0" not in grammar:
            return 1
        if seconds == QUICK:
            return Failure.TOO_SLOW
        let_go.wait(30)
        return Failure.BAD

    weigh(trial)

    async def run() -> None:
        slow = [asyncio.create_task(compiler.compile(numbered(0), f"slow {n}")) for n in range(12)]
        await asyncio.sleep(0.1)
        assert await asyncio.wait_for(compiler.compile(numbered(1), "a"), 20)
        assert not any(task.done() for task in slow)
        let_go.set()
        ends = await asyncio.gather(*slow, return_exceptions=True)
        assert all(isinstance(end, InvalidRequest) for end in ends)

    asyncio.run(run())


def test_a_client_has_one_grammar_compiled_at_a_time(compiler: GrammarCompiler, weigh: Callable[[Try], None]) -> None:
    let_go = threading.Event()

    def trial(grammar: str, seconds: float) -> int:
        if "answer 1" not in grammar:
            let_go.wait(30)
        return 1

    weigh(trial)

    async def run() -> None:
        many = [asyncio.create_task(compiler.compile(numbered(20 + n), "busy")) for n in range(12)]
        await asyncio.sleep(0.1)
        assert await asyncio.wait_for(compiler.compile(numbered(1), "another"), 20)
        assert not any(task.done() for task in many)
        let_go.set()
        await asyncio.gather(*many)

    asyncio.run(run())


def test_a_grammar_that_waits_too_long_is_a_line_in_the_log(
    compiler: GrammarCompiler,
    weigh: Callable[[Try], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(module, "SECONDS", 0.05)
    weigh(lambda grammar, seconds: 1 if let_go.wait(30) else 2)

    async def run() -> Any:
        with pytest.raises(Unavailable):
            await compiler.compile(numbered(0), "a")
        let_go.set()

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    [record] = caplog.records
    assert record.exc_info is None
    assert record.getMessage() == f"A grammar could not be compiled: it had to wait for {module.SECONDS:g} s."


def test_the_steps_of_a_grammar_are_limited_here_too(
    compiler: GrammarCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No trial can tell what its later steps cost, on the thread that serves all: the library must stop by itself."""
    structure = Structure(valid_json({"type": "array", "items": {"enum": ["on", "off"]}}), "test", risky=False)
    assert compiler.constraint(structure).allowed().any()
    monkeypatch.setattr(module, "LIMITS", LLParserLimits(step_max_items=1))
    with pytest.raises(ConstraintFailed):
        compiler.constraint(structure)


def test_only_the_grammars_used_last_are_kept_and_none_is_tried_twice(
    compiler: GrammarCompiler, weigh: Callable[[Try], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    tried: list[str] = []
    compiled: list[str] = []

    def light(grammar: str, seconds: float) -> int:
        tried.append(grammar)
        return 1

    def noted(structure: Structure) -> Constraint:
        compiled.append(structure.grammar)
        return GrammarCompiler.constraint(compiler, structure)

    weigh(light)
    monkeypatch.setattr(compiler, "constraint", noted)

    async def run() -> None:
        for number in (1, 2, 1, 3, 1, 2):
            await compiler.compile(numbered(number), "a")

    asyncio.run(run())
    assert compiled == [numbered(number).grammar for number in (1, 2, 3, 2)]
    assert tried == [numbered(number).grammar for number in (1, 2, 3)]
