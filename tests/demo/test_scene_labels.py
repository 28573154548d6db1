"""Marks on what is drawn: each thing that an answer needs has its own, in the right place."""

import math
from collections import Counter
from random import Random
from typing import get_args

import numpy as np
import pytest
from edgevlm_demo.scenes import FIRST_EVALUATION_SEED, SCENES, Scene, draw_scene
from edgevlm_demo.scenes.gauge import CLEAR, choose_gauge
from edgevlm_demo.scenes.scene import DEFECTS, GLYPHS, LABEL_KINDS, LAST, PANELS, TIPS
from edgevlm_demo.scenes.segments import Shape, segment_polygons
from edgevlm_training.targets import THINGS, patch_targets

SEEDS = range(FIRST_EVALUATION_SEED + 5_000, FIRST_EVALUATION_SEED + 5_040)
DEVICES = [name for name in SCENES if name not in ("panel", "empty")]


def answers(scene: Scene) -> dict[str, str]:
    return {question.family: question.answer for question in scene.questions}


def things(scene: Scene) -> set[str]:
    return {THINGS[thing] for thing in patch_targets(scene.marks, *scene.image.size).thing}


@pytest.mark.parametrize("name", ["display", "label", "dial gauge"])
def test_held_out_style_changes_the_picture(name: str) -> None:
    plain, restyled = draw_scene(name, SEEDS[0]), draw_scene(name, SEEDS[0], style="held out")
    assert plain.image.tobytes() != restyled.image.tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["display", "flange"])
def test_varied_style_draws_more_digits_and_bolts_and_asks_the_same(name: str) -> None:
    changed = 0
    for seed in SEEDS:
        plain, varied = draw_scene(name, seed), draw_scene(name, seed, style="varied")
        assert answers(varied) == answers(plain)
        assert [mark.kind for mark in varied.marks] == [mark.kind for mark in plain.marks]
        changed += plain.image.tobytes() != varied.image.tobytes()
    assert changed > 10


def test_varied_style_draws_labels_as_the_plain_one_does() -> None:
    plain, varied = draw_scene("label", SEEDS[0]), draw_scene("label", SEEDS[0], style="varied")
    assert plain.image.tobytes() == varied.image.tobytes()


@pytest.mark.parametrize("shape", get_args(Shape))
def test_segments_stand_in_their_places_in_every_shape(shape: Shape) -> None:
    polygons = segment_polygons(0.55, 0.12, 0.01, shape)
    assert set(polygons) == set("abcdefg")
    for corners in polygons.values():
        assert all(0 <= x <= 0.55 and 0 <= y <= 1 for x, y in corners)
    middles = {name: tuple(np.mean(corners, axis=0).round(2)) for name, corners in polygons.items()}
    assert middles["a"][1] < middles["g"][1] < middles["d"][1]
    assert middles["f"][0] < middles["a"][0] < middles["b"][0]
    assert middles["b"][1] < middles["g"][1] < middles["c"][1]
    assert middles["f"][1] < middles["g"][1] < middles["e"][1]


@pytest.mark.parametrize("name", DEVICES)
def test_everything_lies_inside_the_picture(name: str) -> None:
    for seed in SEEDS:
        scene = draw_scene(name, seed)
        for mark in scene.marks:
            x, y = (mark.box[0] + mark.box[2]) / 2, (mark.box[1] + mark.box[3]) / 2
            assert 0 <= x <= scene.image.width, (seed, mark)
            assert 0 <= y <= scene.image.height, (seed, mark)


@pytest.mark.slow
def test_strings_are_marked_in_order() -> None:
    for name, family in (("display", "display reading"), ("label", "label text")):
        for seed in SEEDS:
            scene = draw_scene(name, seed)
            glyphs = [mark for mark in scene.marks if mark.kind in GLYPHS]
            text = answers(scene)[family]
            assert "".join(mark.kind for mark in glyphs) == text.replace(".", "")
            assert [mark.order for mark in glyphs] == list(range(1, len(glyphs) + 1))
            assert [mark.follow == LAST for mark in glyphs] == [False] * (len(glyphs) - 1) + [True]


def test_gauge_tip_tells_the_reading_and_the_zone() -> None:
    for seed in SEEDS:
        scene = draw_scene("dial gauge", seed)
        tip = next(mark for mark in scene.marks if mark.kind in TIPS)
        said = answers(scene)
        assert tip.kind == f"tip {said['gauge reading']}"
        assert tip.order == {None: 0, "no": 1, "yes": 2}[said.get("red zone")]
        assert "tip" in things(scene)


def test_gauge_needle_keeps_off_the_ends_of_the_red_zone() -> None:
    for seed in range(500):
        gauge = choose_gauge(Random(seed))
        assert gauge.clear >= CLEAR or math.isinf(gauge.clear)


def test_flange_counts_agree_with_the_labels() -> None:
    for seed in SEEDS:
        scene = draw_scene("flange", seed)
        marks = Counter(mark.kind for mark in scene.marks)
        said = answers(scene)
        assert (str(marks["hole"]), str(marks["bolt"])) == (said["bolts missing"], said["bolts in place"])
        assert said.get("bolt is missing", "yes") == ("yes" if marks["hole"] else "no") or not marks["hole"]
        found = things(scene)
        assert ("bolt" in found, "hole" in found) == (marks["bolt"] > 0, marks["hole"] > 0)


def test_plate_defect_lies_in_its_quarter() -> None:
    for seed in SEEDS:
        scene = draw_scene("metal plate", seed)
        said = answers(scene)
        parts = [mark for mark in scene.marks if mark.kind in DEFECTS]
        if said["defect"] == "none":
            assert not parts and "defect place" not in said
            continue
        plate = next(mark.box for mark in scene.marks if mark.kind == "plate")
        x = np.mean([(mark.box[0] + mark.box[2]) / 2 for mark in parts])
        y = np.mean([(mark.box[1] + mark.box[3]) / 2 for mark in parts])
        upper, left = y < (plate[1] + plate[3]) / 2, x < (plate[0] + plate[2]) / 2
        assert said["defect place"] == f"{'upper' if upper else 'lower'} {'left' if left else 'right'}"
        assert {mark.kind for mark in parts} == {said["defect"]}


def test_panel_shows_two_devices_apart() -> None:
    for seed in SEEDS:
        scene = draw_scene("panel", seed)
        assert len(set(scene.devices)) == 2
        first, second = (m.box for m in scene.marks if m.kind in (*PANELS, "face", "paper", "pole"))
        apart = first[2] <= second[0] + 12 or second[2] <= first[0] + 12
        apart |= first[3] <= second[1] + 12 or second[3] <= first[1] + 12
        assert apart, seed


def test_label_heading_is_marked() -> None:
    scene = draw_scene("label", SEEDS[0])
    assert [m.kind for m in scene.marks if m.kind in LABEL_KINDS] == [answers(scene)["label kind"]]
