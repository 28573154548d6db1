"""Which sizes of decode step give every slot the same bits, found by trying. Knows a decoder's `run` and its cache.

On some processors quantised matmuls round differently for a slot alone, or for the last of an odd number; on a GPU
the number of slots may choose the kernel, and the longest slot how the work is divided. So every size of step that
will ever run is tried once, on slots with a past: equal contents must give equal logits in any slot, in a step of any
size and beside any neighbours.
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

LENGTHS = (600, 30, 12)
"""Positions before the step of three contents, which slots hold in turn; fewer where slots are shorter. Three,
because kernels handle slots in groups of two or four: so each content comes to every place in such a group. The
longest first: it is the one for which a GPU may divide the work of a slot alone."""

PAST = 4
"""Positions of keys and values at the beginning of a slot and before each of these lengths. The rest is zeros, which
attention reads all the same and which take no time to fill in."""


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
    """The sizes of step to run, rising, such that every slot gets the same bits from each; the last is >= `slots`.

    `make` makes a decoder with a number of slots, which is tried and closed. There may be some more slots than were
    asked for, where kernels want pairs or fours. A warning in the log says if no sizes give every slot the same bits.
    """
    if slots == 1:
        return (1,)
    for multiple in (1, 2, 4):
        padded = -(-slots // multiple) * multiple
        if sizes := _agreeing(make(padded), padded):
            if sizes != step_sizes(padded):
                named = ", ".join(map(str, sizes))
                log.info("Steps run with %s slots: with other numbers this device rounds differently.", named)
            return sizes
    log.warning(
        "Answers may depend on what else runs: on this device a slot's logits change in their last bits with the "
        "number of slots in a step, with the lengths of the others, or from slot to slot."
    )
    return step_sizes(slots)


def step_sizes(slots: int) -> tuple[int, ...]:
    """Sizes of step to try: all up to 8, then four for each doubling, so that few slots are needed to fill one up."""
    sizes = [*range(1, 9), *(start * quarter // 4 for start in (8, 16, 32) for quarter in (5, 6, 7, 8))]
    return (*(size for size in sizes if size < slots), slots)


def _agreeing(decoder: Decoder, slots: int) -> tuple[int, ...]:
    """The sizes of step that give the same bits as one of all `slots` slots; none if that itself does not."""
    contents = np.arange(slots) % len(LENGTHS)
    trial = _Trial(decoder, contents)
    sizes: list[int] = []
    for size in step_sizes(slots)[:-1]:
        # where three disagree kernels take pairs: no time is spent on larger odd numbers
        if (size % 2 == 0 or size <= 3 or 3 in sizes) and trial.agrees(contents[:size]):
            sizes.append(size)
    # last, since it writes into what the others have read: the shortest content without longer neighbours
    holds = trial.holds and trial.agrees(np.full_like(contents, contents.max()))
    decoder.close()
    return (*sizes, slots) if holds else ()


class _Trial:
    """Slots with a past, and the logits that each of three contents gets in a step of all slots."""

    def __init__(self, decoder: Decoder, contents: Tokens) -> None:
        self._decoder = decoder
        self._lengths = np.minimum(LENGTHS, decoder.cache.shape[2] - 1)
        random = np.random.default_rng(0)
        self._write_past(len(contents), random)
        hidden = random.standard_normal((len(LENGTHS), 1, decoder.hidden_size))
        self._hidden = hidden.astype(decoder.dtype)
        together = self._step(contents)
        self._wanted = together[: len(LENGTHS)]
        self.holds = self._same(contents, together)
        """Whether in that step a content gets the same logits in each of its slots."""

    def agrees(self, contents: Tokens) -> bool:
        """Whether a step with these contents in slots `0..n-1` gives each of them the same logits again."""
        return self._same(contents, self._step(contents))

    def _same(self, contents: Tokens, logits: Floats) -> bool:
        return all(map(np.array_equal, logits, self._wanted[contents]))

    def _step(self, contents: Tokens) -> Floats:
        return self._decoder.run(0, self._hidden[contents], self._lengths[contents])

    def _write_past(self, slots: int, random: np.random.Generator) -> None:
        """The same for all slots: a few keys and values at the beginning, and again at the end of each length."""
        past = min(PAST, int(self._lengths.min()))
        hidden = random.standard_normal((1, past, self._decoder.hidden_size)).astype(self._decoder.dtype)
        self._decoder.run(0, hidden, np.array([past - 1]))
        copied = self._decoder.cache.copy_out(0, 0, past)
        for slot in range(slots):
            for start in (0, *(int(length) - past for length in self._lengths)):
                self._decoder.cache.copy_in(slot, replace(copied, start=start), past)
        copied.free()
