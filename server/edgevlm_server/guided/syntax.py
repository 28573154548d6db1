"""Grammars that the site itself writes, tried at once in this process. A client's are tried in one of their own."""

from functools import cache

from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from edgevlm_server.guided.grammar import GrammarError
from edgevlm_server.guided.sandbox import Bytes


def compiled(grammar: str) -> None:
    """Raises `GrammarError` for one that no vocabulary can follow, such as a pattern with a mistake in it."""
    fault = LLMatcher.validate_grammar(grammar, _bytes())
    if fault:
        # behind where in the grammar it is, which says nothing to whoever wrote the pattern
        reason = fault.rpartition("error: ")[2].rpartition("(in regex): ")[2]
        raise GrammarError(f"It cannot be compiled: {reason.splitlines()[0][:200]}.")


@cache
def _bytes() -> LLTokenizer:
    return LLTokenizer(TokenizerWrapper(Bytes()))
