"""Grammars become constraints beside the event loop, in bounded time. Knows threads and llguidance, no schemas.

Each size of a grammar is bounded where it is read, llguidance counts its own steps, and what may still explode does
so in a process of its own.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from edgevlm_server.errors import InvalidRequest, Unavailable
from edgevlm_server.guided.constraint import Constraint, ConstraintFailed
from edgevlm_server.guided.sandbox import LIMITS, compiles
from edgevlm_server.request import Structure
from edgevlm_server.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

WORKERS = 2
SECONDS = 10.0
"""How long a request waits for its grammar, others' grammars in front of it included."""
KEPT = 32
"""Compiled grammars kept: a line asks the same question, in the same form, again and again."""


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

    def __init__(self, tokenizer: Tokenizer, bos_id: int, end_ids: Iterable[int]) -> None:
        self._tokenizer = tokenizer
        self._bos_id = bos_id
        self._end_ids = sorted(end_ids)
        self._pool = ThreadPoolExecutor(WORKERS, "grammar")
        self._compiled: OrderedDict[str, Constraint] = OrderedDict()
        self._closed = False

    async def compile(self, structure: Structure) -> Constraint:
        """A constraint at the beginning of an answer. Raises `InvalidRequest` for what cannot be followed."""
        known = self._compiled.get(structure.grammar)
        if known is None:
            known = self._compiled[structure.grammar] = await self._compile_beside(structure)
            while len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(structure.grammar)
        return known.fresh()

    def refuse(self) -> None:
        """Begin no more work."""
        self._closed = True

    def close(self) -> None:
        """Forget what waits; what is under way ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _compile_beside(self, structure: Structure) -> Constraint:
        if self._closed:
            raise Unavailable.draining()
        work = asyncio.get_running_loop().run_in_executor(self._pool, self.constraint, structure)
        try:
            return await asyncio.wait_for(work, SECONDS)
        except ConstraintFailed:
            raise InvalidRequest(
                f"{structure.place}: It cannot be used: it is invalid, contradicts itself or is too complex.",
                code="unsupported_schema",
                param=structure.place,
            ) from None
        except (asyncio.TimeoutError, OSError):
            log.exception("A grammar could not be compiled.")
            raise Unavailable.uncompiled() from None

    def constraint(self, structure: Structure) -> Constraint:
        """Compile one grammar here and now. Raises `ConstraintFailed`, or `OSError` if it cannot be tried."""
        if structure.risky and not compiles(structure.grammar):
            raise ConstraintFailed
        matcher = LLMatcher(self._vocabulary, structure.grammar, log_level=0, limits=LIMITS)
        constraint = Constraint(matcher, self._tokenizer.vocab_size)
        # the first step costs most, and what cannot even begin is found now
        constraint.allowed()
        return constraint

    @cached_property
    def _vocabulary(self) -> LLTokenizer:
        described = Vocabulary(self._tokenizer, self._bos_id, self._end_ids[0])
        return LLTokenizer(TokenizerWrapper(described), eos_token=self._end_ids)
