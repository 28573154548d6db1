"""The pictures: determined by the seed, true to what they say, and taken from nobody's training."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import ImageDraw

from benchmarks.machine import ROOT
from benchmarks.unseen import fonts, gauges, nothing
from benchmarks.unseen.canvas import blank
from benchmarks.unseen.families import FAMILIES, PHOTOGRAPHS, TEXTURES, is_about, questions
from benchmarks.unseen.question import Question, Truth
from edgevlm.errors import CommandError
from tests.boundaries.walls import imports

DRAWN = [family for family in FAMILIES if family != PHOTOGRAPHS]


@pytest.mark.slow
@pytest.mark.parametrize("family", DRAWN)
def test_the_seed_determines_everything(family: str) -> None:
    first, second = questions(family, 2, seed=5)
    [again] = questions(family, 1, seed=5)
    assert (first.text, first.truth) == (again.text, again.truth)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.image.tobytes() != second.image.tobytes()
    [other] = questions(family, 1, seed=6)
    assert other.image.tobytes() != first.image.tobytes()


@pytest.mark.parametrize("family", [family for family in DRAWN if family not in (TEXTURES, "wrong device")])
def test_every_question_about_what_is_there_has_an_answer(family: str) -> None:
    assert not any(question.truth.refuse for question in questions(family, 2, seed=0))


@pytest.mark.parametrize("family", [TEXTURES, "wrong device"])
def test_what_cannot_be_told_is_to_be_refused(family: str) -> None:
    assert all(question.truth.refuse for question in questions(family, 6, seed=0))


@pytest.mark.parametrize("value", [0.0, 2.5, 5.0, 9.0])
def test_the_needle_points_to_the_value(value: float) -> None:
    scale, look = gauges.Scale(0, 10, 1, 5, "bar"), gauges.Look((255, 255, 255), (0, 0, 0), (255, 0, 0))
    picture = blank(200, 200, look.face)
    degrees = scale.degrees(value, 270)
    gauges._needle(ImageDraw.Draw(picture), (200, 200), 150, degrees, look, Random(0))
    y, x = np.nonzero(np.asarray(picture)[..., 1] < 100)
    tip = np.hypot(x - 200, y - 200).argmax()
    # 0 is at the lower left and 10 at the lower right, clockwise
    seen = np.degrees(np.arctan2(y[tip] - 200, x[tip] - 200)) % 360
    assert (seen - 135) % 360 == pytest.approx(value * 27, abs=1.5)


def test_pictures_are_drawn_as_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def counted(random: Random, family: str) -> Iterator[Question]:
        for number in count():
            drawn.append(number)
            yield Question(family, blank(8, 8, (0, 0, 0)), "What?", Truth())

    monkeypatch.setitem(FAMILIES, "counted", counted)
    next(questions("counted", 1000, seed=0))
    assert drawn == [0]


@pytest.mark.parametrize("device", ["display", "gauge", "number"])
def test_the_colour_of_digits_is_not_asked_where_there_are_digits(device: str) -> None:
    assert is_about("What colour are the digits?", device)
    assert not is_about("What colour are the digits?", "bolt")


def test_numbers_on_a_scale_are_whole_divisions() -> None:
    for scale in gauges.SCALES:
        count = (scale.high - scale.low) / scale.division
        assert count == pytest.approx(round(count)) and 16 <= count <= 60, scale


def test_a_display_over_a_third_of_the_frame() -> None:
    [question] = questions("display over a third", 1, seed=0)
    assert question.image.size == (1280, 720)


def test_nothing_is_shared_with_the_training() -> None:
    for path in (ROOT / "benchmarks/unseen").glob("*.py"):
        names = {one.imported.split(".")[0] for one in imports(path.stem, path, {})}
        assert names.isdisjoint({"edgevlm_demo", "edgevlm_training"}), path


def test_photographs_are_all_to_be_refused() -> None:
    asked = list(questions(PHOTOGRAPHS, 20, seed=0))
    assert all(question.truth.refuse for question in asked)
    assert {"What can you see?", "What does the gauge read?"} <= {question.text for question in asked}


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nothing, "find_spec", lambda name: None)
    with pytest.raises(CommandError, match=r"\[unseen\]"):
        nothing.check()


def test_missing_fonts_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fonts, "FOLDER", tmp_path)
    with pytest.raises(CommandError, match="apt-get install fonts-liberation fonts-dejavu-core"):
        fonts.check()
