"""Drawn factory scenes with exact answers, each from a name and a seed. Imports no torch.

A further scene is one more file with `draw` and `facts`, and one more line in `_DRAW`.
"""

from random import Random

from edgevlm_demo.scenes import display, label, practice, signal_tower
from edgevlm_demo.scenes.canvas import Canvas
from edgevlm_demo.scenes.scene import (
    GRID,
    KINDS,
    PATCH,
    SIDE,
    Fact,
    Mark,
    PatchLabels,
    Question,
    Scene,
    patch_labels,
)
from edgevlm_demo.scenes.wording import ask, presence, unanswerable

__all__ = [
    "DATA_VERSION",
    "FIRST_EVALUATION_SEED",
    "GRID",
    "KINDS",
    "PATCH",
    "SCENES",
    "SIDE",
    "Mark",
    "PatchLabels",
    "Question",
    "Scene",
    "draw_practice",
    "draw_scene",
    "patch_labels",
]

DATA_VERSION = 1  # of the pictures and questions; raise it with every change that moves a pixel or a word
FIRST_EVALUATION_SEED = 900_000_000  # from here on seeds are never trained on


def draw_scene(name: str, seed: int, *, held_out_wording: bool = False) -> Scene:
    """The same name, seed and wording give the same bytes and questions on every machine."""
    # a stream per use: the picture does not depend on how it is asked about
    canvas = Canvas(Random(f"{name} {seed}"))
    facts = _DRAW[name](canvas)
    image = canvas.finish()
    random = Random(f"{name} {seed} {held_out_wording}")
    questions = [ask(random, fact, held_out=held_out_wording) for fact in (*facts, presence(random, name))]
    questions.append(unanswerable(random, name, held_out=held_out_wording))
    return Scene(name, seed, image, tuple(questions), tuple(canvas.marks))


def draw_practice(seed: int) -> Scene:
    """A sheet full of displays and labels, without questions."""
    canvas = Canvas(Random(f"practice {seed}"))
    practice.draw(canvas)
    return Scene("practice", seed, canvas.finish(), (), tuple(canvas.marks))


def _display(canvas: Canvas) -> tuple[Fact, ...]:
    return display.facts(display.draw(canvas))


def _signal_tower(canvas: Canvas) -> tuple[Fact, ...]:
    return signal_tower.facts(signal_tower.draw(canvas), canvas.random)


def _label(canvas: Canvas) -> tuple[Fact, ...]:
    return label.facts(label.draw(canvas))


_DRAW = {"display": _display, "signal tower": _signal_tower, "label": _label}
SCENES = tuple(_DRAW)
