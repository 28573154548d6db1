"""Grammars in the server itself: the library counts its steps there too, and only the last ones are kept."""

import asyncio

import pytest
from edgevlm_server.guided import compiler as compiler_module
from edgevlm_server.guided.compiler import GrammarCompiler
from edgevlm_server.guided.constraint import Constraint, ConstraintFailed
from edgevlm_server.guided.grammar import one_of, valid_json
from edgevlm_server.request import Structure
from edgevlm_server.text.tokenizer import Tokenizer
from llguidance import LLParserLimits

from tests.conftest import GOLDEN


class Counting(GrammarCompiler):
    """Notes what it compiles."""

    def __init__(self) -> None:
        super().__init__(Tokenizer(GOLDEN / "v2" / "checkpoint" / "tokenizer.model"), bos_id=1, end_ids={2})
        self.compiled: list[str] = []

    def constraint(self, structure: Structure) -> Constraint:
        self.compiled.append(structure.grammar)
        return super().constraint(structure)


def test_the_steps_of_a_grammar_are_limited_here_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that no process of its own has tried: the library must stop by itself, on the thread that serves all."""
    structure = Structure(valid_json({"type": "array", "items": {"enum": ["on", "off"]}}), "test", risky=False)
    assert Counting().constraint(structure).allowed().any()
    monkeypatch.setattr(compiler_module, "LIMITS", LLParserLimits(step_max_items=1))
    with pytest.raises(ConstraintFailed):
        Counting().constraint(structure)


def test_only_the_grammars_used_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler_module, "KEPT", 2)
    compiler = Counting()
    first, second, third = (Structure(one_of([text]), "test", risky=False) for text in ("on", "off", "dim"))

    async def ask() -> None:
        for structure in (first, second, first, third, first, second):
            await compiler.compile(structure)

    asyncio.run(ask())
    compiler.close()
    assert compiler.compiled == [one.grammar for one in (first, second, third, second)]
