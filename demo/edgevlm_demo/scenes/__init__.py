"""Drawn factory scenes with exact answers, each from a name and a seed. Imports no torch.

A further scene is one more file with `draw`, `facts` and `phrase`, and one more line in `_DEVICES`.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from edgevlm_demo.scenes import display, flange, gauge, label, panel, plate, practice, signal_tower
from edgevlm_demo.scenes.canvas import Canvas, Region
from edgevlm_demo.scenes.scene import (
    GRID,
    KINDS,
    PATCH,
    SIDE,
    Fact,
    Mark,
    Question,
    Scene,
    Style,
)
from edgevlm_demo.scenes.wording import NOTHING, Words, ask, presence, unanswerable

__all__ = [
    "DATA_VERSION",
    "FIRST_EVALUATION_SEED",
    "GRID",
    "KINDS",
    "PATCH",
    "SCENES",
    "SIDE",
    "Mark",
    "Question",
    "Scene",
    "Style",
    "draw_practice",
    "draw_scene",
]

DATA_VERSION = 7  # of the pictures and questions; raise it with every change that moves a pixel or a word
FIRST_EVALUATION_SEED = 900_000_000  # from here on seeds are never trained on


class _Device(NamedTuple):
    """`draw` chooses and draws a thing; what it returns is known to its own file only."""

    draw: Callable[[Canvas, Region], Any]
    facts: Callable[[Any, Random], tuple[Fact, ...]]
    phrase: Callable[[Any], str]


_DEVICES = {
    "display": _Device(display.draw, display.facts, display.phrase),
    "dial gauge": _Device(gauge.draw, gauge.facts, gauge.phrase),
    "signal tower": _Device(signal_tower.draw, signal_tower.facts, signal_tower.phrase),
    "label": _Device(label.draw, label.facts, label.phrase),
    "flange": _Device(flange.draw, flange.facts, flange.phrase),
    "metal plate": _Device(plate.draw, plate.facts, plate.phrase),
}
SCENES = (*_DEVICES, "panel", "empty")
_STREAMS: dict[Words, str] = {"templates": "False", "varied": "varied", "held out": "True"}


def draw_scene(name: str, seed: int, *, words: Words = "templates", style: Style = "plain") -> Scene:
    """The same arguments give the same bytes and questions on every machine."""
    # a stream per use: the picture does not depend on how it is asked about
    canvas = Canvas(Random(f"{name} {seed}"), style)
    devices, regions = _arrange(name, canvas)
    things = [_DEVICES[device].draw(canvas, region) for device, region in zip(devices, regions, strict=True)]
    image = canvas.finish()
    random = Random(f"{name} {seed} facts")
    facts = [fact for d, thing in zip(devices, things, strict=True) for fact in _DEVICES[d].facts(thing, random)]
    phrases = [_DEVICES[d].phrase(thing) for d, thing in zip(devices, things, strict=True)]
    facts += [Fact("description", "", _sentence(phrases)), presence(random, devices)]
    random = Random(f"{name} {seed} {_STREAMS[words]}")
    questions = [ask(random, fact, words=words) for fact in facts]
    questions.append(unanswerable(random, devices, words=words))
    return Scene(name, seed, image, tuple(questions), tuple(canvas.marks), devices)


def draw_practice(seed: int, style: Style = "plain") -> Scene:
    """A sheet full of displays and labels, without questions."""
    canvas = Canvas(Random(f"practice {seed}"), style)
    practice.draw(canvas)
    return Scene("practice", seed, canvas.finish(), (), tuple(canvas.marks), ())


def _arrange(name: str, canvas: Canvas) -> tuple[tuple[str, ...], tuple[Region, ...]]:
    if name == "empty":
        return (), ()
    if name == "panel":
        devices = panel.choose_devices(canvas.random)
        return devices, panel.regions(canvas, devices)
    return (name,), (canvas.whole,)


def _sentence(phrases: list[str]) -> str:
    if not phrases:
        return NOTHING
    text = " and ".join(phrases)
    return f"{text[0].upper()}{text[1:]}."
