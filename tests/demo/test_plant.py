"""Devices as a camera sees them: the same everywhere, legible or refused, answers that follow from the drawing."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
from edgevlm_demo.plant import PLANT, Supplies, draw_plant, draw_sheet, shipped_fonts
from edgevlm_demo.plant.asking import dial_questions
from edgevlm_demo.plant.dial import Dial
from edgevlm_demo.plant.nameplate import choose_code
from edgevlm_demo.plant.readout import choose_number
from edgevlm_demo.plant.scales import choose_scale, decimals, reading_step
from edgevlm_demo.plant.shot import Shot
from edgevlm_demo.scenes import draw_scene
from edgevlm_demo.scenes.scene import SIDE
from edgevlm_demo.scenes.wording import NOTHING, UNANSWERABLE
from PIL import Image

SUPPLIES = Supplies(shipped_fonts())
REFUSED = {"unreadable", "unanswerable", "no device"}
BLACK, WHITE = (0, 0, 0), (255, 255, 255)


@pytest.mark.parametrize("name", PLANT)
def test_a_seed_fixes_picture_and_questions(name: str) -> None:
    first, again, other = (draw_plant(name, seed, SUPPLIES) for seed in (7, 7, 8))
    assert first.image.tobytes() == again.image.tobytes()
    assert first.questions == again.questions
    assert first.image.tobytes() != other.image.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANT)
def test_what_cannot_be_told_is_refused_and_nothing_else(name: str) -> None:
    for seed in range(30):
        for question in draw_plant(name, seed, SUPPLIES).questions:
            assert (question.answer in (UNANSWERABLE, NOTHING)) == (question.family in REFUSED), question


@pytest.mark.parametrize("name", ["nothing", "sketch"])
def test_a_picture_without_a_device_is_described_as_the_empty_scene_is(name: str) -> None:
    drawn = {
        question.answer for question in draw_plant(name, 0, SUPPLIES).questions if question.family == "no device"
    }
    [plain] = [question.answer for question in draw_scene("empty", 0).questions if question.family == "description"]
    assert plain == NOTHING
    assert drawn == {UNANSWERABLE, NOTHING}


def test_a_gauge_is_read_to_its_divisions() -> None:
    assert reading_step(10, 0.2) == 0.2
    assert reading_step(10, 0.5) == 0.5
    assert reading_step(10, 0.1) == 0.2  # never finer than a fiftieth
    assert reading_step(100, 10) == 5  # never coarser than a twentieth
    assert reading_step(16, 0.5) == 0.5
    assert decimals(0.05) == 2


def test_every_scale_has_a_handful_of_numbers_that_lie_on_it() -> None:
    for seed in range(400):
        scale = choose_scale(Random(seed))
        labels = scale.labels()
        assert 4 <= len(labels) <= 13, scale
        assert all(scale.low - 1e-6 <= value <= scale.high + 1e-6 for value, _ in labels)
        assert 20 <= round(scale.span / scale.step) <= 50
        assert float(scale.text(scale.high)) == pytest.approx(scale.high)


def test_a_gauges_answer_may_be_half_a_step_off_and_not_two() -> None:
    for seed in range(200):
        scale = choose_scale(Random(seed))
        reading = dial_questions(Random(seed), Dial(scale, scale.high, legible=True, in_red=None))[0]
        assert reading.answer == scale.text(scale.high)
        assert scale.step / 2 < reading.tolerance < 2 * scale.step, scale


def test_codes_have_no_letter_that_could_be_a_digit() -> None:
    codes = [choose_code(Random(seed)) for seed in range(500)]
    assert not any(set("IO") & set(code) for code in codes)
    assert any("-" in code for code in codes)
    assert all(3 <= len(code) <= 14 for code in codes)


def test_numbers_are_written_as_displays_write_them() -> None:
    for seed in range(500):
        text = choose_number(Random(seed))
        float(text)
        whole = text.lstrip("-").split(".")[0]
        assert whole == "0" or not whole.startswith("0"), text


def test_print_is_legible_by_height_contrast_and_sharpness() -> None:
    shot = Shot(Random(1), SUPPLIES)
    clear = next(
        shot
        for shot in (Shot(Random(n), SUPPLIES) for n in range(99))
        if shot.camera.blur == shot.camera.motion == shot.camera.fade == 0
        and shot.camera.gain > 0.9
        and shot.camera.noise < 5
    )
    tall = 12 * clear.unit
    assert clear.legible(tall, 8, BLACK, WHITE)
    assert not clear.legible(tall, 13, BLACK, WHITE)
    assert not clear.legible(tall, 8, (120, 120, 120), (130, 130, 130))
    assert shot.unit == max(shot.size) / SIDE


@pytest.mark.slow
def test_print_is_marked_only_where_it_can_be_told() -> None:
    for seed in range(60):
        scene = draw_plant("label", seed, SUPPLIES)
        told = any(question.family == "label text" for question in scene.questions)
        assert any(len(mark.kind) == 1 for mark in scene.marks) == told


def test_a_sheet_is_full_of_print() -> None:
    counts = [sum(len(mark.kind) == 1 for mark in draw_sheet(seed, SUPPLIES).marks) for seed in range(10)]
    assert sum(counts) / len(counts) > 20


def test_photographs_stand_behind_things(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (640, 480), (200, 10, 10)).save(path)
    supplies = Supplies(shipped_fonts(), (path,))
    pictures = [np.asarray(draw_plant("nothing", seed, supplies).image, dtype=float) for seed in range(12)]
    reddish = sum(pixels[..., 0].mean() > 4 * pixels[..., 1].mean() for pixels in pictures)
    assert reddish >= 4
