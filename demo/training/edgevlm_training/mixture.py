"""How often each kind of picture is trained on. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DRAWN_WEIGHTS = {
    "display": 0.18,
    "dial gauge": 0.16,
    "signal tower": 0.08,
    "label": 0.2,
    "flange": 0.18,
    "metal plate": 0.08,
    "panel": 0.09,
    "empty": 0.03,
}
PLANT_WEIGHTS = {
    "display": 0.32,
    "dial gauge": 0.19,
    "signal tower": 0.05,
    "label": 0.17,
    "flange": 0.07,
    "metal plate": 0.06,
    "pair": 0.04,
    "nothing": 0.07,
    "sketch": 0.03,
}
REFUSAL_WEIGHTS = {
    "display": 0.27,
    "dial gauge": 0.13,
    "signal tower": 0.05,
    "label": 0.19,
    "flange": 0.06,
    "metal plate": 0.05,
    "pair": 0.03,
    "nothing": 0.17,
    "sketch": 0.05,
}


@dataclass(frozen=True)
class Mixture:
    """Which pictures: `drawn` is the share of the plain scenes, `plant` the weights of the others."""

    drawn: float
    plant: Mapping[str, float]


DRAWN = 0.18
"""The share of plain scenes in a run that learns to read, unless it says otherwise."""
FOR_REFUSALS = Mixture(0.42, REFUSAL_WEIGHTS)


def reading(drawn: float) -> Mixture:
    """Of a run that learns to read."""
    return Mixture(drawn, PLANT_WEIGHTS)


FOR_READING = reading(DRAWN)
