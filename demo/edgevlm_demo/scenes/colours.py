"""Colours and how far they vary."""

from __future__ import annotations

from random import Random

Colour = tuple[int, int, int]


def jitter(random: Random, colour: Colour, amount: int = 18) -> Colour:
    """The colour moved by up to `amount` grey levels in each channel."""
    red, green, blue = (min(255, max(0, c + random.randint(-amount, amount))) for c in colour)
    return red, green, blue


def shade(colour: Colour, factor: float) -> Colour:
    """Darker below 1, brighter above."""
    red, green, blue = (min(255, max(0, round(c * factor))) for c in colour)
    return red, green, blue


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`share` of the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue
