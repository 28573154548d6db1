"""Devices as a camera in a plant sees them, with exact answers, or with the refusal where nothing can be told.

Drawn from a name, a seed and the supplies (fonts, photographs). Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from edgevlm_demo.plant import asking, dial, lamps, nameplate, readout, sheet
from edgevlm_demo.plant.backdrop import backdrop, photograph, texture
from edgevlm_demo.plant.lettering import shipped_fonts
from edgevlm_demo.plant.shot import Region, Shot, Supplies
from edgevlm_demo.plant.sketches import sketch
from edgevlm_demo.scenes import flange, plate
from edgevlm_demo.scenes.background import background
from edgevlm_demo.scenes.scene import Fact, Question, Scene
from edgevlm_demo.scenes.wording import NOTHING, UNANSWERABLE, ask, presence

__all__ = ["PLANT", "Supplies", "draw_plant", "draw_sheet", "shipped_fonts"]

NO_DEVICE = ("nothing", "sketch")
_DEVICES = ("display", "dial gauge", "signal tower", "label", "flange", "metal plate")
PLANT = (*_DEVICES, "pair", *NO_DEVICE)


def draw_plant(name: str, seed: int, supplies: Supplies) -> Scene:
    """The same arguments and supplies give the same picture and questions on every machine."""
    shot = Shot(Random(f"plant {name} {seed}"), supplies)
    random = Random(f"plant {name} {seed} questions")
    if name in NO_DEVICE:
        return _nothing(name, seed, shot, random)
    shot.image = backdrop(shot.random, shot.size, supplies.photographs)
    devices, regions = _arrange(name, shot)
    questions: list[Question] = []
    phrases = []
    for device, region in zip(devices, regions, strict=True):
        found, phrase = _DRAWN[device](shot, region, random)
        questions += found
        phrases.append(phrase)
    text = " and ".join(phrases)
    description = Fact("description", "", f"{text[0].upper()}{text[1:]}.")
    questions += [ask(random, fact, words="varied") for fact in (description, presence(random, devices))]
    questions.append(asking.absent_question(random, devices))
    return Scene(name, seed, shot.finish(), tuple(questions), tuple(shot.marks), devices)


def draw_sheet(seed: int, supplies: Supplies) -> Scene:
    """As much print of all sizes as fits, without questions."""
    shot = Shot(Random(f"plant sheet {seed}"), supplies)
    shot.image = backdrop(shot.random, shot.size, supplies.photographs, 0.2)
    sheet.draw(shot)
    return Scene("sheet", seed, shot.finish(), (), tuple(shot.marks), ())


def _nothing(name: str, seed: int, shot: Shot, random: Random) -> Scene:
    photographs = shot.supplies.photographs
    if name == "sketch":
        shot.image = backdrop(shot.random, shot.size, photographs, 0.15)
        sketch(shot.random, shot.image)
    elif photographs and shot.random.random() < 0.65:
        shot.image = photograph(shot.random, shot.size, photographs)
    elif shot.random.random() < 0.7:
        shot.image = texture(shot.random, shot.size)
    else:
        shot.image = background(shot.random, *shot.size)
    questions = [asking.absent_question(random, (), "no device") for _ in range(2)]
    described = ask(random, Fact("description", "", NOTHING), words="varied")
    questions += [replace(described, family="no device"), ask(random, presence(random, ()), words="varied")]
    return Scene(name, seed, shot.finish(), tuple(questions), (), ())


def _arrange(name: str, shot: Shot) -> tuple[tuple[str, ...], tuple[Region, ...]]:
    width, height = shot.size
    if name != "pair":
        return (name,), (shot.whole,)
    first, second = shot.random.sample(_DEVICES[:4], 2)
    share = shot.random.uniform(0.35, 0.65)
    if width >= height:
        return (first, second), ((0, 0, share * width, height), (share * width, 0, width, height))
    return (first, second), ((0, 0, width, share * height), (0, share * height, width, height))


def _dial(shot: Shot, region: Region, random: Random) -> tuple[list[Question], str]:
    drawn = dial.draw(shot, region)
    phrase = f"a dial gauge that reads {drawn.reading}" if drawn.legible else "a dial gauge"
    return asking.dial_questions(random, drawn), phrase


def _readout(shot: Shot, region: Region, random: Random) -> tuple[list[Question], str]:
    drawn = readout.draw(shot, region)
    seen = drawn.colour and drawn.legible
    return asking.readout_questions(
        random, drawn
    ), f"a digital display with {drawn.colour} digits" if seen else "a digital display"


def _label(shot: Shot, region: Region, random: Random) -> tuple[list[Question], str]:
    drawn = nameplate.draw(shot, region)
    kinds = [entry.kind for entry in drawn.entries]
    named = len(kinds) == 1 and kinds[0] in nameplate.CODES and drawn.legible
    return asking.nameplate_questions(random, drawn), f"a label with a {kinds[0]}" if named else "a label"


def _tower(shot: Shot, region: Region, random: Random) -> tuple[list[Question], str]:
    tower, legible = lamps.draw(shot, region)
    dark = [lamp for lamp in tower.stack if lamp != tower.lit]
    lamp = tower.lit if tower.lit != "none" and random.random() < 2 / 3 else random.choice(dark)
    shown = "no lamp" if tower.lit == "none" else f"the {tower.lit} lamp"
    phrase = f"a signal tower with {shown} on" if legible else "a signal tower"
    return asking.lamp_questions(random, tower.lit, lamp, legible), phrase


def _flange(shot: Shot, region: Region, random: Random) -> tuple[list[Question], str]:
    drawn = flange.choose_flange(shot.random)
    most = 0.48 * min(region[2] - region[0], region[3] - region[1])
    radius = most * shot.random.uniform(0.45, 1.0)
    shrunk = shot.place(flange.flange_sprite(shot.random, drawn, radius, shot.unit, "varied"), region)
    clear = shot.camera.gain * (1 - shot.camera.fade) > 0.5 and shot.camera.blur < 1.2
    return _facts(random, flange.facts(drawn, random), legible=clear and radius * shrunk / shot.unit >= 34), (
        flange.phrase(drawn) if clear else "a flange"
    )


def _plate(shot: Shot, region: Region, random: Random) -> tuple[list[Question], str]:
    drawn = plate.choose_plate(shot.random)
    width, height = (side * shot.random.uniform(0.6, 0.92) for side in (region[2] - region[0], region[3] - region[1]))
    shrunk = shot.place(plate.plate_sprite(shot.random, drawn, width, height, shot.unit), region)
    camera = shot.camera
    clear = camera.gain * (1 - camera.fade) > 0.6 and camera.blur < 0.8 and camera.motion < 1 and camera.noise < 14
    legible = clear and min(width, height) * shrunk / shot.unit > 70
    return _facts(random, plate.facts(drawn, random), legible=legible), plate.phrase(
        drawn
    ) if legible else "a metal plate"


def _facts(random: Random, facts: tuple[Fact, ...], *, legible: bool) -> list[Question]:
    asked = [asking.worded(random, fact) for fact in facts]
    return asked if legible else [Question("unreadable", question.text, UNANSWERABLE) for question in asked]


_DRAWN: dict[str, Callable[[Shot, Region, Random], tuple[list[Question], str]]] = {
    "display": _readout,
    "dial gauge": _dial,
    "signal tower": _tower,
    "label": _label,
    "flange": _flange,
    "metal plate": _plate,
}
