"""What to ask for instead of a demand that does not fit into memory. Knows what can be given up, not what it takes.

A demand has levers: fields that may be made smaller in steps. A memory plan does not shrink when one of them grows,
so the largest value that fits is found by halving.
"""

from bisect import bisect_right
from dataclasses import replace
from typing import NamedTuple

from edgevlm_engines.manifest import Manifest
from edgevlm_engines.memory_plan import MIB, Demand, Place, plan_memory

TEXT = 256
"""Positions that a slot needs for text, beside those of a picture."""

BLOCK = 64
"""Advice on lengths comes in multiples of this, as slots have them on TensorRT."""


class _Lever(NamedTuple):
    """A field of a demand that may be made smaller: to `least` and any number of steps of `step` above it."""

    field: str
    least: int
    step: int = 1


_SLOTS = _Lever("slots", 1)


def fewer_slots(manifest: Manifest, demand: Demand, place: Place, budget: int) -> Demand | None:
    """The demand with as many slots as fit into `budget` bytes, fewer than it has; `None` if not even one does."""
    return _reduced(manifest, demand, place, budget, _SLOTS)


def alternatives(manifest: Manifest, demand: Demand, place: Place, budget: int) -> list[Demand]:
    """Smaller demands that fit into `budget` bytes: each with one change, or the one with as few as that takes.

    Empty if nothing helps.
    """
    levers = _levers(manifest)
    alone = [smaller for lever in levers if (smaller := _reduced(manifest, demand, place, budget, lever))]
    return alone or _together(manifest, demand, place, budget, levers)


def _together(
    manifest: Manifest, demand: Demand, place: Place, budget: int, levers: tuple[_Lever, ...]
) -> list[Demand]:
    """One lever after the other down to its least, until one of them is enough."""
    for lever in levers:
        if smaller := _reduced(manifest, demand, place, budget, lever):
            return [smaller]
        least = replace(demand, **{lever.field: min(lever.least, getattr(demand, lever.field))})
        # on a GPU of its own, slots and their copies take nothing from the host
        if plan_memory(manifest, least, place).total < plan_memory(manifest, demand, place).total:
            demand = least
    return []


def _levers(manifest: Manifest) -> tuple[_Lever, ...]:
    """What may be given up, the dearest last. Slots stay long enough for a picture and some text."""
    shortest = -(-(manifest.vision.image_tokens + TEXT) // BLOCK) * BLOCK
    return (
        _SLOTS,
        _Lever("prefix_cache", 0, MIB),
        _Lever("image_cache", 0, MIB),
        _Lever("queue", 0),
        _Lever("max_length", shortest, BLOCK),
    )


def _reduced(manifest: Manifest, demand: Demand, place: Place, budget: int, lever: _Lever) -> Demand | None:
    """The demand with the largest smaller value of one field that fits; `None` if none does."""

    def at(steps: int) -> Demand:
        return replace(demand, **{lever.field: lever.least + steps * lever.step})

    def total(steps: int) -> int:
        return plan_memory(manifest, at(steps), place).total

    smaller = range(-(-(getattr(demand, lever.field) - lever.least) // lever.step))
    fitting = bisect_right(smaller, budget, key=total)
    return at(fitting - 1) if fitting else None
