"""The scales of gauges: ranges, their usual labels and divisions, units, and the rule for how finely one is read.

**The rule**: a gauge is read to its finest drawn division, but never finer than a fiftieth of its scale and never
coarser than a twentieth; steps are 1, 2 or 5 times a power of ten. The digits are those of the step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

QUANTITIES = {
    "bar": "pressure",
    "psi": "pressure",
    "kPa": "pressure",
    "MPa": "pressure",
    "mbar": "pressure",
    "°C": "temperature",
    "°F": "temperature",
    "%": "level",
    "rpm": "speed",
    "A": "current",
    "V": "voltage",
    "l/min": "flow",
    "m/s": "speed",
    "kg": "weight",
    "mm": "distance",
    "Hz": "frequency",
    "kW": "power",
    "m³/h": "flow",
    "t": "weight",
    "mA": "current",
    "s": "time",
}
"""What each unit measures: `What is the pressure?` asks about a reading in bar."""

_RANGES: tuple[tuple[float, float, str], ...] = (
    (0, 1, "bar MPa A"),
    (0, 1.6, "bar MPa"),
    (0, 2.5, "bar MPa"),
    (0, 4, "bar MPa"),
    (0, 6, "bar MPa V"),
    (0, 10, "bar MPa V A l/min m/s kPa"),
    (0, 10, "bar bar V"),
    (0, 10, "bar bar bar l/min"),
    (0, 10, "bar bar bar °C"),
    (0, 10, "bar bar V"),
    (0, 10, "bar bar l/min"),
    (0, 16, "bar bar"),
    (0, 25, "bar kPa A"),
    (0, 40, "bar °C"),
    (0, 60, "bar °C psi Hz A"),
    (0, 100, "bar °C % psi kPa"),
    (0, 100, "% %"),
    (0, 160, "bar psi °C"),
    (0, 250, "bar V kPa psi"),
    (0, 400, "bar V kPa"),
    (0, 600, "bar kPa"),
    (0, 1000, "kPa psi rpm"),
    (0, 5, "bar V A"),
    (0, 2, "bar A"),
    (0, 3, "bar"),
    (0, 8, "bar rpm"),
    (0, 12, "bar"),
    (0, 15, "bar psi"),
    (0, 20, "bar mA A"),
    (0, 30, "psi bar V"),
    (0, 50, "°C psi A"),
    (0, 80, "°C"),
    (0, 120, "°C °C bar"),
    (0, 150, "psi °C"),
    (0, 200, "psi °C bar"),
    (0, 300, "psi V"),
    (0, 500, "V kPa"),
    (0, 3000, "psi rpm"),
    (0, 6000, "rpm"),
    (-1, 0, "bar"),
    (-1, 1.5, "bar"),
    (-1, 3, "bar"),
    (-1, 5, "bar"),
    (-1, 9, "bar"),
    (-30, 50, "°C"),
    (-20, 60, "°C"),
    (-40, 40, "°C"),
    (-20, 120, "°C"),
    (-100, 0, "kPa"),
)


@dataclass(frozen=True)
class Scale:
    """`labelled` and `division`: the steps between numbers and between the finest ticks."""

    low: float
    high: float
    labelled: float
    division: float
    unit: str

    @property
    def span(self) -> float:
        return self.high - self.low

    @property
    def step(self) -> float:
        """What a reading is a multiple of."""
        return reading_step(self.span, self.division)

    def text(self, value: float) -> str:
        return f"{value + 0.0:.{decimals(self.step)}f}"

    def labels(self) -> list[tuple[float, str]]:
        digits = decimals(self.labelled)
        return [(value, f"{value + 0.0:.{digits}f}") for value in self.ticks(self.labelled)]

    def ticks(self, step: float) -> list[float]:
        """Multiples of the step on the scale, ends included."""
        first, last = math.ceil(self.low / step - 1e-6), math.floor(self.high / step + 1e-6)
        return [round(n * step, 6) for n in range(first, last + 1)]


def reading_step(span: float, division: float) -> float:
    steps = [digit * 10.0**power for power in range(-4, 5) for digit in (1, 2, 5)]
    fine = [step for step in steps if 19.99 <= span / step <= 50.01]
    return min(fine, key=lambda step: (abs(math.log(step / division)), step))


def decimals(step: float) -> int:
    """How many digits behind the point a multiple of the step needs."""
    for digits in range(5):
        if abs(round(step, digits) - step) < 1e-9:
            return digits
    raise ValueError(f"no scale has steps of {step}")


def choose_scale(random: Random) -> Scale:
    low, high, units = random.choice(_RANGES)
    span = high - low
    steps = [digit * 10.0**power for power in range(-3, 4) for digit in (1, 2, 2.5, 4, 5)]
    fits = [s for s in steps if 3.9 <= span / s <= 12.1 and _even(low, s) and _even(high, s)]
    labelled = random.choice(fits) if fits else span / 5
    parts = [part for part in (1, 2, 4, 5, 10) if 15 <= span / labelled * part <= 110]
    division = labelled / random.choice(parts or [2])
    return Scale(low, high, labelled, division, random.choice(units.split()))


def _even(value: float, step: float) -> bool:
    return abs(value / step - round(value / step)) < 1e-6
