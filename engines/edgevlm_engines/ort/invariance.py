"""Sizes of a decode step that give every slot the same bits, found by trying. Knows a decoder's `run` and its cache.

On some processors quantised products round differently for a slot alone, or for the last of an odd number; on a GPU
a kernel may be chosen for the number of slots, or share the work by the length of the longest. So each size of step
that will ever run is tried once, on slots with a past: equal contents must give equal logits in whatever slot they
are, in a step of whatever size, and beside whatever neighbours.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgevlm_engines.engine import Floats, Tokens
from edgevlm_engines.kv_cache import Cache

log = logging.getLogger(__name__)

LENGTHS = (12, 600, 60)
"""Positions before the step, of the three contents that slots take in turn; less where slots are shorter. Three,
since kernels handle slots in groups of two or four: each content comes to each place of such a group."""

PAST = 4
"""Positions with keys and values at the beginning and at each of these ends. Between them are zeros: those take as
long a way through the cache, and nothing to compute or to copy."""


class Decoder(Protocol):
    """What is needed of a decoder."""

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def hidden_size(self) -> int: ...

    @property
    def cache(self) -> Cache: ...

    def run(self, first_slot: int, hidden: NDArray[Any], last_position: Tokens) -> Floats: ...

    def close(self) -> None: ...


def invariant_sizes(make: Callable[[int], Decoder], slots: int) -> tuple[int, ...]:
    """The sizes of step to run, rising, from a set that gives every slot the same bits; the last is at least `slots`.

    `make` makes a decoder with a number of slots, which is tried and closed. There may be some more slots than were
    asked for, where kernels want pairs or fours. A warning in the log says if no sizes give every slot the same bits.
    """
    if slots == 1:
        return (1,)
    for multiple in (1, 2, 4):
        padded = -(-slots // multiple) * multiple
        if agreeing := agreeing_sizes(make(padded), padded):
            if agreeing != step_sizes(padded):
                log.info("Steps run with %s slots: with other numbers this device rounds differently.", agreeing)
            return agreeing
    log.warning(
        "Answers may depend on what else runs: on this device a slot's logits change in their last bits with the "
        "number of slots in a step, with their lengths, or from slot to slot."
    )
    return step_sizes(slots)


def step_sizes(slots: int) -> tuple[int, ...]:
    """Sizes of step to try: all up to 8, then four for each doubling, so that no step is a quarter larger than need be."""
    sizes = [*range(1, 9), *(start * quarter // 4 for start in (8, 16, 32) for quarter in (5, 6, 7, 8))]
    return (*(size for size in sizes if size < slots), slots)


def agreeing_sizes(decoder: Decoder, slots: int) -> tuple[int, ...]:
    """The sizes of step that give the same bits as one of `slots` slots; none if that does not agree with itself."""
    kinds = np.arange(slots) % len(LENGTHS)
    lengths = np.minimum(LENGTHS, decoder.cache.shape[2] - 1)
    random = np.random.default_rng(0)
    _write_past(decoder, slots, lengths, random)
    hidden = random.standard_normal((len(LENGTHS), 1, decoder.hidden_size)).astype(decoder.dtype)

    def run(contents: Tokens) -> Floats:
        return decoder.run(0, hidden[contents], lengths[contents])

    together = run(kinds)
    reference = together[: len(LENGTHS)]

    def agree(contents: Tokens, logits: Floats) -> bool:
        return all(np.array_equal(row, reference[kind]) for row, kind in zip(logits, contents, strict=True))

    smaller = [size for size in step_sizes(slots)[:-1] if agree(kinds[:size], run(kinds[:size]))]
    # last, since it writes into the past of the others: the shortest content without longer neighbours
    shortest = np.zeros(slots, np.int64)
    same = agree(kinds, together) and agree(shortest, run(shortest))
    decoder.close()
    return (*smaller, slots) if same else ()


def _write_past(decoder: Decoder, slots: int, lengths: Tokens, random: np.random.Generator) -> None:
    """The same for all slots: a few keys and values at the beginning, and again at the end of each length."""
    past = min(PAST, int(lengths.min()))
    hidden = random.standard_normal((1, past, decoder.hidden_size)).astype(decoder.dtype)
    decoder.run(0, hidden, np.array([past - 1]))
    copied = decoder.cache.copy_out(0, 0, past)
    for slot in range(slots):
        for start in (0, *(int(length) - past for length in lengths)):
            decoder.cache.copy_in(slot, replace(copied, start=start), past)
    copied.free()
