"""How often each kind of picture is trained on. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DRAWN_WEIGHTS = {
    "display": 0.14,
    "dial gauge": 0.2,
    "signal tower": 0.1,
    "label": 0.14,
    "flange": 0.16,
    "metal plate": 0.1,
    "panel": 0.12,
    "empty": 0.04,
}
PLANT_WEIGHTS = {
    "display": 0.2,
    "dial gauge": 0.23,
    "signal tower": 0.06,
    "label": 0.23,
    "flange": 0.05,
    "metal plate": 0.04,
    "pair": 0.07,
    "nothing": 0.09,
    "sketch": 0.03,
}
REFUSAL_WEIGHTS = {
    "display": 0.18,
    "dial gauge": 0.22,
    "signal tower": 0.07,
    "label": 0.17,
    "flange": 0.02,
    "metal plate": 0.02,
    "pair": 0.04,
    "nothing": 0.19,
    "sketch": 0.09,
}


@dataclass(frozen=True)
class Mixture:
    """Which pictures: `drawn` is the share of the plain scenes, `plant` the weights of the others."""

    drawn: float
    plant: Mapping[str, float]


FOR_READING = Mixture(0.18, PLANT_WEIGHTS)
FOR_REFUSALS = Mixture(0.42, REFUSAL_WEIGHTS)
