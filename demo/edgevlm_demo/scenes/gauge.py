"""The dial gauge: a scale from 0 to 10, a needle that stands at a half step, on most of them a red zone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

from edgevlm_demo.scenes import fonts
from edgevlm_demo.scenes.canvas import Canvas, Region, Sprite, opaque, small_angle
from edgevlm_demo.scenes.colours import Colour, jitter, mix
from edgevlm_demo.scenes.scene import NO_ORDER, PATCH, Fact, Mark, Style

FULL = 10  # the scale's last value
MIN_RADIUS = 40.0  # pixels at 168 x 168
MAX_RADIUS = 80.0
CLEAR = 0.75  # of a scale unit: no needle stands nearer to an end of the red zone
UNITS = ("bar", "kPa", "psi", "°C", "l/min", "m/s", "rpm")
FACES: tuple[Colour, ...] = ((240, 240, 236), (244, 238, 214), (205, 210, 214), (28, 30, 34), (26, 44, 70))
RED: Colour = (215, 35, 30)
NEEDLES: tuple[Colour, ...] = (RED, (235, 120, 20), (40, 90, 200))


@dataclass(frozen=True)
class Gauge:
    half_steps: int  # 0 to 20
    red: tuple[float, float] | None  # from and to, in scale units

    @property
    def reading(self) -> str:
        return f"{self.half_steps / 2:.1f}"

    @property
    def in_red(self) -> bool:
        return self.red is not None and self.red[0] < self.half_steps / 2 < self.red[1]

    @property
    def clear(self) -> float:
        """Scale units from the needle to the nearer end of the red zone."""
        return min(abs(self.half_steps / 2 - bound) for bound in self.red or (math.inf,))


def choose_gauge(random: Random) -> Gauge:
    """Where there is a red zone, the needle stands in it as often as not."""
    half_steps = random.randint(0, 2 * FULL)
    if random.random() < 0.25:
        return Gauge(half_steps, None)
    inside = random.random() < 0.5
    while True:
        gauge = Gauge(half_steps, _choose_zone(random))
        if gauge.in_red == inside and gauge.clear >= CLEAR:
            return gauge


def _choose_zone(random: Random) -> tuple[float, float]:
    """1 to 4 units; half of the zones reach to the end of the scale, as on a pressure gauge."""
    width = random.randint(2, 8) / 2
    if random.random() < 0.5:
        return FULL - width + 0.25, FULL + CLEAR
    start = random.randint(0, 2 * FULL - 8) / 2
    return (start + 0.25 if start else -CLEAR), start + width + 0.25


@dataclass(frozen=True)
class _Dial:
    """Where a value lies, in pixels of the sprite; `sweep` in degrees, symmetrical about the top."""

    radius: float
    sweep: float

    def angle(self, value: float) -> float:
        """Degrees clockwise from the top."""
        return (value / FULL - 0.5) * self.sweep

    def at(self, value: float, share: float) -> tuple[float, float]:
        """The point at a share of the radius."""
        return self.towards(self.angle(value), share)

    def towards(self, angle: float, share: float) -> tuple[float, float]:
        radians = math.radians(angle)
        length = share * self.radius
        return self.radius + length * math.sin(radians), self.radius - length * math.cos(radians)

    def box(self, share: float) -> tuple[float, float, float, float]:
        low, high = self.radius * (1 - share), self.radius * (1 + share)
        return low, low, high, high


def gauge_sprite(random: Random, gauge: Gauge, radius: float, unit: float, style: Style = "plain") -> Sprite:
    """`radius` in canvas pixels, of which `unit` are one pixel at 168 x 168."""
    finer = 2 if unit < 1.6 else 1  # thin lines need more than the canvas's own pixels
    dial = _Dial(radius * finer, random.uniform(240, 285))
    side = math.ceil(2 * dial.radius)
    face, ink = _face_and_ink(random)
    image = Image.new("RGBA", (side, side), (*face, 0))
    draw = ImageDraw.Draw(image)
    rim = random.uniform(0.03, 0.08)
    draw.ellipse((0, 0, side - 1, side - 1), fill=opaque(jitter(random, (90, 90, 95), 70)))
    draw.ellipse(dial.box(1 - rim), fill=opaque(face))
    outer = 0.97 - rim
    if gauge.red:
        _red_zone(random, draw, dial, gauge.red, outer)
    tick = random.uniform(0.1, 0.16)
    _ticks(random, draw, dial, ink, outer, tick)
    font = random.choice(fonts.names(style))
    height = max(0.15 * dial.radius, 6.5 * unit * finer)
    every = random.choice((1, 2, 2) if height <= 0.17 * dial.radius else (2, 2, 5))
    for value in range(0, FULL + 1, every):
        _word(image, font, str(value), dial.at(value, outer - tick - 0.12), height, ink)
    if random.random() < 0.6:
        word = random.choice(UNITS)
        _word(image, font, word, (dial.radius, dial.radius * random.uniform(1.38, 1.5)), 1.05 * height, ink)
    length = random.uniform(0.68, outer - 0.04)
    _needle(random, draw, dial, gauge.half_steps / 2, length, ink)
    marks = _marks(dial, gauge, length, outer - tick / 2, unit * finer)
    if finer > 1:
        image = image.reduce(finer)
    return Sprite(image, [Mark(m.kind, _shrunk(m, finer), m.order, m.follow) for m in marks])


def draw(canvas: Canvas, region: Region) -> Gauge:
    random = canvas.random
    gauge = choose_gauge(random)
    most = min(MAX_RADIUS, 0.47 * min(canvas.size(region)))
    radius = (
        random.uniform(min(MIN_RADIUS, most), most) if random.random() < 0.5 else random.uniform(0.8 * most, most)
    )
    sprite = gauge_sprite(random, gauge, radius * canvas.unit, canvas.unit, canvas.style)
    canvas.place(sprite, region, angle=small_angle(random, 5.0))
    return gauge


def facts(gauge: Gauge, random: Random) -> tuple[Fact, ...]:
    """Families and answers; the wording is chosen elsewhere."""
    reading = Fact("gauge reading", "", gauge.reading)
    if gauge.red is None:
        return (reading,)
    return (reading, Fact("red zone", "", "yes" if gauge.in_red else "no"))


def phrase(gauge: Gauge) -> str:
    return f"a dial gauge that reads {gauge.reading}"


def _face_and_ink(random: Random) -> tuple[Colour, Colour]:
    face = jitter(random, random.choice(FACES), 10)
    ink = (235, 235, 230) if sum(face) < 300 else (25, 25, 28)
    return face, jitter(random, ink, 15)


def _red_zone(random: Random, draw: ImageDraw.ImageDraw, dial: _Dial, red: tuple[float, float], outer: float) -> None:
    start, end = (dial.angle(min(FULL, max(0, value))) - 90 for value in red)
    width = round(random.uniform(0.06, 0.12) * dial.radius)
    draw.arc(dial.box(outer), start, end, fill=opaque(jitter(random, RED, 20)), width=max(2, width))


def _ticks(random: Random, draw: ImageDraw.ImageDraw, dial: _Dial, ink: Colour, outer: float, length: float) -> None:
    width = max(1, round(random.uniform(0.018, 0.035) * dial.radius))
    for value in range(FULL + 1):
        draw.line((*dial.at(value, outer), *dial.at(value, outer - length)), fill=opaque(ink), width=width)
    if random.random() < 0.85:
        thin = max(1, round(0.6 * width))
        for value in range(FULL):
            ends = (*dial.at(value + 0.5, outer), *dial.at(value + 0.5, outer - 0.6 * length))
            draw.line(ends, fill=opaque(ink), width=thin)


def _word(image: Image.Image, font: str, text: str, centre: tuple[float, float], height: float, ink: Colour) -> None:
    mask = fonts.of_height(font, text, height)
    image.paste(ink, (round(centre[0] - mask.width / 2), round(centre[1] - mask.height / 2)), mask)


def _needle(random: Random, draw: ImageDraw.ImageDraw, dial: _Dial, value: float, length: float, ink: Colour) -> None:
    colour = opaque(jitter(random, ink if random.random() < 0.5 else random.choice(NEEDLES), 12))
    angle, half = dial.angle(value), random.uniform(0.025, 0.05)
    tail = dial.towards(angle, -random.uniform(0.08, 0.25))
    sides = [dial.towards(angle + 90, half), dial.towards(angle - 90, half)]
    if random.random() < 0.7:
        draw.polygon([sides[0], dial.towards(angle, length), sides[1], tail], fill=colour)
    else:
        width = max(2, round(1.4 * half * dial.radius))
        draw.line((*tail, *dial.towards(angle, length)), fill=colour, width=width)
    # a tapering needle ends in a hair that would vanish at 168 pixels
    draw.line(
        (*dial.towards(angle, 0), *dial.towards(angle, length)), fill=colour, width=max(2, round(0.025 * dial.radius))
    )
    draw.ellipse(dial.box(random.uniform(0.07, 0.12)), fill=opaque(mix(ink, (120, 120, 120), random.random())))


def _marks(dial: _Dial, gauge: Gauge, length: float, ticks: float, unit: float) -> list[Mark]:
    """The face, the red zone, the shaft, the scale, and last the tip, which wins its patch."""

    def square(point: tuple[float, float], side: float) -> tuple[float, float, float, float]:
        half = side * unit / 2
        return point[0] - half, point[1] - half, point[0] + half, point[1] + half

    marks = [Mark("face", (0, 0, 2 * dial.radius, 2 * dial.radius))]
    value = gauge.half_steps / 2
    if gauge.red:
        start, end = max(0.0, gauge.red[0]), min(float(FULL), gauge.red[1])
        steps = math.ceil((end - start) * 2)
        marks += [
            Mark("red zone", square(dial.at(start + (end - start) * n / steps, 0.9), 11)) for n in range(steps + 1)
        ]
    steps = max(2, math.ceil(length * dial.radius / (0.6 * PATCH * unit)))
    marks += [Mark("needle", square(dial.at(value, length * n / steps), 10)) for n in range(1, steps)]
    marks += [Mark(f"scale {tick}", square(dial.at(tick, ticks), 9)) for tick in range(FULL + 1)]
    order = NO_ORDER if gauge.red is None else 1 + gauge.in_red
    marks.append(Mark(f"tip {value}", square(dial.at(value, length - 0.04), PATCH), order))
    return marks


def _shrunk(mark: Mark, finer: int) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = mark.box
    return x0 / finer, y0 / finer, x1 / finer, y1 / finer
