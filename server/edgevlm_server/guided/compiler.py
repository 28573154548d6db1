"""Grammars become constraints beside the event loop, in bounded time. Knows threads and llguidance, no schemas.

Each size of a grammar is bounded where it is read, llguidance counts its own steps, and what may still explode does
so in a process of its own.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TypeVar
from weakref import WeakSet, WeakValueDictionary

from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from edgevlm_server.errors import InvalidRequest, Unavailable
from edgevlm_server.guided.constraint import Constraint, ConstraintFailed, Weight
from edgevlm_server.guided.sandbox import LIMITS, Failure, tried
from edgevlm_server.request import Structure
from edgevlm_server.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

Result = TypeVar("Result")

SECONDS = 10.0
"""How long a request waits for its grammar, others' grammars in front of it included."""
QUICK = 0.5
"""Processor time that a trial may take at first, and far more than usual grammars need. What takes longer is tried
again, beside the others, so that nobody's usual grammar waits behind slow ones."""
THOROUGH = 2.0
QUICK_WORKERS = 2
KEPT = 32
"""Compiled grammars kept: a line asks the same question, in the same form, again and again."""
MOST_BYTES = 48 * 2**20
"""Of all compiled grammars together, kept ones and those that answers follow now. The memory plan counts more: the
heap does not give all of it back."""
SIMPLE_BYTES = 2 * 2**20
"""What one counts as that cannot grow beyond what its size tells."""
REMEMBERED = 4096
"""Grammars that were tried, by their digests: none is tried twice, whether it was refused or only had to give way."""


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
        self._quick = ThreadPoolExecutor(QUICK_WORKERS, "grammar")
        self._thorough = ThreadPoolExecutor(1, "large grammar")
        self._compiled: OrderedDict[str, Constraint] = OrderedDict()
        self._tried: OrderedDict[bytes, int | None] = OrderedDict()
        """What each takes; `None` for one that was refused."""
        self._alive: WeakSet[Weight] = WeakSet()
        """Of all grammars that are kept, or that an answer still follows."""
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """By client: each has one grammar compiled at a time."""
        self._closed = False

    async def compile(self, structure: Structure, client: str) -> Constraint:
        """A constraint at the beginning of an answer. Raises `InvalidRequest` for what cannot be followed."""
        known = self._compiled.get(structure.grammar)
        if known is None:
            known = self._compiled[structure.grammar] = await self._compile_in_time(structure, client)
            while len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(structure.grammar)
        return known.fresh()

    def refuse(self) -> None:
        """Begin no more work."""
        self._closed = True

    def close(self) -> None:
        """Forget what waits; what is under way ends by itself."""
        for pool in (self._quick, self._thorough):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _compile_in_time(self, structure: Structure, client: str) -> Constraint:
        turn = self._turns.setdefault(client, asyncio.Lock())
        try:
            return await asyncio.wait_for(self._in_turn(turn, structure), SECONDS)
        except ConstraintFailed:
            self._remember(structure.grammar, None)
            raise InvalidRequest(
                f"{structure.place}: It cannot be used: it is invalid, contradicts itself or is too complex.",
                code="unsupported_schema",
                param=structure.place,
            ) from None
        except (asyncio.TimeoutError, OSError) as error:
            log.warning("A grammar could not be compiled: %s.", str(error) or f"it had to wait for {SECONDS:g} s")
            raise Unavailable.uncompiled() from None

    async def _in_turn(self, turn: asyncio.Lock, structure: Structure) -> Constraint:
        async with turn:
            # another request of the client may have brought it meanwhile
            known = self._compiled.get(structure.grammar)
            return known or await self._compile_beside(structure)

    async def _compile_beside(self, structure: Structure) -> Constraint:
        weight = Weight(await self._weigh(structure))
        self._make_room(weight)
        compiled = await self._run(self._quick, lambda: self.constraint(structure))
        # the thread may hold its own for a moment longer than it is needed
        return compiled.fresh(weight)

    async def _weigh(self, structure: Structure) -> int:
        """Bytes that it will take. Raises `ConstraintFailed`, or `OSError` if it cannot be tried."""
        digest = _digest(structure.grammar)
        if digest in self._tried:
            self._tried.move_to_end(digest)
            return _size(self._tried[digest])
        if not structure.risky:
            return SIMPLE_BYTES
        found = await self._try(structure.grammar)
        self._remember(structure.grammar, found)
        return _size(found)

    async def _try(self, grammar: str) -> int | None:
        """What it takes; `None` for one that is refused."""
        size = await self._run(self._quick, lambda: tried(grammar, QUICK))
        if size is Failure.TOO_SLOW:
            size = await self._run(self._thorough, lambda: tried(grammar, THOROUGH))
        return None if isinstance(size, Failure) else size

    def _make_room(self, weight: Weight) -> None:
        """Raises `Unavailable` where too many large ones are in use."""
        while self._weight() + weight.size > MOST_BYTES:
            if not self._compiled:
                raise Unavailable.uncompiled()
            self._compiled.popitem(last=False)
        self._alive.add(weight)

    def _weight(self) -> int:
        return sum(weight.size for weight in self._alive)

    def _remember(self, grammar: str, size: int | None) -> None:
        self._tried[_digest(grammar)] = size
        while len(self._tried) > REMEMBERED:
            self._tried.popitem(last=False)

    async def _run(self, pool: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
        if self._closed:
            raise Unavailable.draining()
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    def constraint(self, structure: Structure) -> Constraint:
        """Compile one grammar here and now. Raises `ConstraintFailed`."""
        matcher = LLMatcher(self._vocabulary, structure.grammar, log_level=0, limits=LIMITS)
        constraint = Constraint(matcher, self._tokenizer.vocab_size)
        # the first step costs most, and what cannot even begin is found now
        constraint.allowed()
        return constraint

    @cached_property
    def _vocabulary(self) -> LLTokenizer:
        described = Vocabulary(self._tokenizer, self._bos_id, self._end_ids[0])
        return LLTokenizer(TokenizerWrapper(described), eos_token=self._end_ids)


def _size(found: int | None) -> int:
    if found is None:
        raise ConstraintFailed
    return found


def _digest(grammar: str) -> bytes:
    return hashlib.sha256(grammar.encode()).digest()
