"""The drawn scenes: the same from the same seed, with questions and marks that fit the picture."""

import os
import subprocess
import sys
import zlib
from collections import Counter

import pytest
from edgevlm_demo.scenes import SCENES, Scene, draw_practice, draw_scene
from edgevlm_demo.scenes.scene import DEFECTS, FASTENERS, GLYPHS, LAMPS, SCALE, TIPS
from edgevlm_demo.scenes.wording import SUFFIX, UNANSWERABLE, WORDINGS
from edgevlm_training.targets import CHARACTER_INDEX, THINGS, patch_targets

SEEDS = range(900_000_000, 900_000_040)
SMALL = {*GLYPHS, *SCALE, *TIPS, *FASTENERS, *DEFECTS}


def scenes(name: str) -> list[Scene]:
    return [draw_scene(name, seed) for seed in SEEDS]


def answer(scene: Scene, family: str) -> str:
    return next(question.answer for question in scene.questions if question.family == family)


@pytest.mark.parametrize("name", SCENES)
def test_same_seed_gives_same_bytes_and_questions(name: str) -> None:
    first, second = draw_scene(name, 7), draw_scene(name, 7)
    assert first.image.tobytes() == second.image.tobytes()
    assert first.questions == second.questions
    assert first.marks == second.marks
    assert draw_scene(name, 8).image.tobytes() != first.image.tobytes()


@pytest.mark.slow
def test_a_fresh_interpreter_draws_the_same_and_needs_no_torch() -> None:
    program = (
        "import sys, zlib, edgevlm_demo.evaluation\n"
        "from edgevlm_demo.scenes import SCENES, draw_scene\n"
        "print([zlib.crc32(draw_scene(name, 7).image.tobytes()) for name in SCENES], 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    expected = [zlib.crc32(draw_scene(name, 7).image.tobytes()) for name in SCENES]
    assert done.stdout.strip() == f"{expected} False", done.stderr


@pytest.mark.parametrize("name", SCENES)
def test_the_picture_does_not_depend_on_the_wording(name: str) -> None:
    trained, held_out = draw_scene(name, 7), draw_scene(name, 7, words="held out")
    assert trained.image.tobytes() == held_out.image.tobytes()
    assert [q.family for q in trained.questions] == [q.family for q in held_out.questions]
    assert not {q.text for q in trained.questions} & {q.text for q in held_out.questions}


def test_held_out_wordings_are_never_trained_on() -> None:
    pools = WORDINGS.values()
    trained = {text for pool in pools for text in pool.trained}
    assert not trained & {text for pool in pools for text in pool.held_out}


def test_the_wordings_of_the_first_examples_are_trained_on() -> None:
    assert "Which lamp is on?" in WORDINGS["lit lamp"].trained
    assert "What does the display read?" in WORDINGS["display reading"].trained
    texts = [wording.format("serial number") for wording in WORDINGS["label text"].trained]
    assert "What is the serial number on the label?" in texts


@pytest.mark.parametrize("name", SCENES)
def test_questions_are_well_formed(name: str) -> None:
    for scene in scenes(name):
        families = [question.family for question in scene.questions]
        assert len(families) == len(set(families))
        assert {"description", "presence", "unanswerable"} <= set(families)
        for question in scene.questions:
            text = question.text.removesuffix(SUFFIX)
            assert "{" not in text
            assert "\n" not in text
            assert question.answer.strip() == question.answer != ""
        assert answer(scene, "unanswerable") == UNANSWERABLE


@pytest.mark.slow
def test_a_third_of_the_short_questions_carry_the_suffix() -> None:
    asked = [q for name in SCENES for scene in scenes(name) for q in scene.questions]
    suffixed = [q.text.endswith(SUFFIX) for q in asked if q.family != "description"]
    assert 0.25 < sum(suffixed) / len(suffixed) < 0.42
    assert not any(q.text.endswith(SUFFIX) for q in asked if q.family == "description")


@pytest.mark.slow
def test_yes_and_no_are_balanced() -> None:
    # the answers alone: 400 towers
    states = Counter(answer(draw_scene("signal tower", seed), "lamp state") for seed in range(400))
    assert 0.42 < states["yes"] / 400 < 0.58
    shown = [answer(scene, "presence") for name in SCENES for scene in scenes(name)]
    assert 0.35 < shown.count("yes") / len(shown) < 0.65


@pytest.mark.parametrize(("name", "family"), [("display", "display reading"), ("label", "label text")])
def test_patches_spell_the_answer(name: str, family: str) -> None:
    for scene in scenes(name):
        targets = patch_targets(scene.marks, *scene.image.size)
        text = answer(scene, family)
        glyphs = text.replace(".", "")
        for place, glyph in enumerate(glyphs, start=1):
            first = targets.slots[targets.order == place, 0]
            assert set(first.tolist()) <= {CHARACTER_INDEX[glyph]}, (scene.seed, text)
        assert targets.order.max() <= len(glyphs)
        assert set(targets.slots[targets.slots > 0].tolist()) == {CHARACTER_INDEX[glyph] for glyph in text}


def test_lamps_are_told_on_and_off() -> None:
    for scene in scenes("signal tower"):
        targets = patch_targets(scene.marks, *scene.image.size)
        lit = answer(scene, "lit lamp")
        found = {THINGS[thing] for thing in targets.thing}
        for lamp in LAMPS:
            assert (f"{lamp} on" in found) == (lamp == lit)
            assert (f"{lamp} off" in found) == (lamp != lit)


@pytest.mark.parametrize("name", SCENES)
def test_objects_lie_inside_the_picture(name: str) -> None:
    for scene in scenes(name):
        for mark in scene.marks:
            if mark.kind in SMALL:
                x0, y0, x1, y1 = mark.box
                assert min(x0, y0) > -2
                assert x1 < scene.image.width + 2
                assert y1 < scene.image.height + 2


def test_practice_sheets_hold_many_glyphs_and_no_questions() -> None:
    sheets = [draw_practice(seed) for seed in range(20)]
    assert not any(sheet.questions for sheet in sheets)
    glyphs = [sum(mark.kind in GLYPHS for mark in sheet.marks) for sheet in sheets]
    # a display or label alone has 2 to 5
    assert sum(glyphs) / len(glyphs) > 6
