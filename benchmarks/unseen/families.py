"""The families of questions, each an endless source that its name and the seed determine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from random import Random

from benchmarks.unseen import displays, flanges, gauges, labels, nothing, plates, towers
from benchmarks.unseen.question import Question, Truth

Source = Callable[[Random, str], Iterator[Question]]

PHOTOGRAPHS = "photographs without a device"
TEXTURES = "textures without a device"
PRINTED = ("display", "gauge", "number")
"""Devices with digits of some colour."""


def wrong_family(random: Random, family: str) -> Iterator[Question]:
    """Endless: a question about another device than the one that is there."""
    shown: dict[str, Iterator[Question]] = {
        "gauge": gauges.gauges(random, family),
        "display": displays.segment_displays(random, family),
        "lamp": towers.lit_lamps(random, family),
        "number": labels.labels(random, family),
        "bolt": flanges.flanges(random, family),
        "plate": plates.plates(random, family),
    }
    while True:
        device = random.choice(list(shown))
        asked = [text for text in nothing.EVERY_FAMILY if not is_about(text, device)]
        yield next(shown[device])._replace(text=random.choice(asked), truth=Truth())


def is_about(text: str, device: str) -> bool:
    """Whether a device of this kind might answer it."""
    return device in text or (device in PRINTED and "digits" in text)


FAMILIES: dict[str, Source] = {
    "gauge": gauges.gauges,
    "gauge 0-10": partial(gauges.gauges, ten=True),
    "gauge, photo-like": partial(gauges.gauges, photo=True),
    "display": displays.segment_displays,
    "display, photo-like": partial(displays.segment_displays, photo=True),
    "display over a half": partial(displays.framed_displays, share=1 / 2),
    "display over a third": partial(displays.framed_displays, share=1 / 3),
    "display over a quarter": partial(displays.framed_displays, share=1 / 4),
    "digit colour": displays.digit_colours,
    "printed digits": displays.panel_numbers,
    "signal tower": towers.lit_lamps,
    "signal tower, photo-like": partial(towers.lit_lamps, photo=True),
    "label": labels.labels,
    "label, photo-like": partial(labels.labels, photo=True),
    "label, any letter": partial(labels.labels, letters=labels.OTHERS),
    "nameplate": labels.nameplates,
    "nameplate, photo-like": partial(labels.nameplates, photo=True),
    "flange": flanges.flanges,
    "flange, photo-like": partial(flanges.flanges, photo=True),
    "metal plate": plates.plates,
    "metal plate, photo-like": partial(plates.plates, photo=True),
    "wrong device": wrong_family,
    PHOTOGRAPHS: nothing.photographs,
    TEXTURES: nothing.textures,
}


def questions(family: str, count: int, seed: int) -> Iterator[Question]:
    """The first `count` of a family: the same for the same seed, and the first of any larger count."""
    return islice(FAMILIES[family](Random(f"{family} {seed}"), family), count)
