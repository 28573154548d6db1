"""Grammars become constraints beside the event loop, in bounded time. Knows llguidance and its limits, no schemas.

Each size of a grammar is bounded where it is read, and llguidance counts its own steps; the clock comes on top.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

from edgevlm_server.constraint import Constraint, ConstraintFailed
from edgevlm_server.errors import InvalidRequest, Unavailable
from edgevlm_server.generation import Structure
from edgevlm_server.tokenizer import Tokenizer

WORKERS = 2
SECONDS = 5.0
"""How long a request waits for its grammar."""
KEPT = 32
"""Compiled grammars kept: a line asks the same question, in the same form, again and again."""

LIMITS = LLParserLimits(step_lexer_fuel=50_000, step_max_items=20_000, max_lexer_states=20_000, verbose_errors=False)
"""Of one step, on the thread that serves everyone: some milliseconds."""


class Vocabulary:
    """A LLaMA vocabulary as llguidance wants it described: every token's bytes, and which tokens are no text."""

    def __init__(self, tokenizer: Tokenizer, bos_id: int, eos_id: int) -> None:
        self.bos_token_id = bos_id
        self.eos_token_id = eos_id
        ids = range(tokenizer.vocab_size)
        self.special_token_ids = [token for token in ids if not tokenizer.is_text(token)]
        # the library wants a name for each token, also where none is ever written
        self.tokens = [tokenizer.bytes_of(t) if tokenizer.is_text(t) else b"<%d>" % t for t in ids]
        self._tokenizer = tokenizer

    def __call__(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, space_prefix=False)


class GrammarCompiler:
    """Its own threads, and the grammars compiled last. Methods are called on the event loop; `close` blocks."""

    def __init__(self, tokenizer: Tokenizer, bos_id: int, stop_ids: Iterable[int]) -> None:
        self._tokenizer = tokenizer
        self._bos_id = bos_id
        self._stop_ids = sorted(stop_ids)
        self._pool = ThreadPoolExecutor(WORKERS, "grammar")
        self._compiled: OrderedDict[str, Constraint] = OrderedDict()
        self._closed = False

    async def compile(self, structure: Structure) -> Constraint:
        """A constraint at the beginning of an answer. Raises `InvalidRequest` for what cannot be followed."""
        known = self._compiled.get(structure.grammar)
        if known is None:
            known = self._compiled[structure.grammar] = await self._within_time(structure)
            while len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(structure.grammar)
        return known.fresh()

    def refuse(self) -> None:
        """Begin no more work."""
        self._closed = True

    def close(self) -> None:
        """Forget what waits. A grammar under way ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _within_time(self, structure: Structure) -> Constraint:
        if self._closed:
            raise Unavailable.draining()
        work = asyncio.get_running_loop().run_in_executor(self._pool, self._compile, structure.grammar)
        try:
            return await asyncio.wait_for(work, SECONDS)
        except (ConstraintFailed, asyncio.TimeoutError):
            raise InvalidRequest(
                f"{structure.place}: It cannot be followed: it is not valid, contradicts itself or is too complex.",
                code="unsupported_schema",
                param=structure.place,
            ) from None

    def _compile(self, grammar: str) -> Constraint:
        """In a thread of the pool."""
        matcher = LLMatcher(self._vocabulary, grammar, log_level=0, limits=LIMITS)
        constraint = Constraint(matcher, self._tokenizer.vocab_size)
        # the first mask costs most, and what cannot even begin is found now
        constraint.allowed()
        return constraint

    @cached_property
    def _vocabulary(self) -> LLTokenizer:
        described = Vocabulary(self._tokenizer, self._bos_id, self._stop_ids[0])
        return LLTokenizer(TokenizerWrapper(described), eos_token=self._stop_ids)
