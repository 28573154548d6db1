"""What a patch holds: up to three characters in reading order, things, and where a needle stands."""

from __future__ import annotations

from edgevlm_demo.scenes import GRID, PATCH, SIDE, Mark, draw_scene
from edgevlm_training.targets import CHARACTER_INDEX, STEPS, THING_INDEX, patch_targets


def box(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def slots(marks: list[Mark], row: int, column: int) -> list[int]:
    targets = patch_targets(marks, SIDE, SIDE)
    return [int(value) for value in targets.slots[row * GRID + column]]


def test_three_small_characters_share_a_patch_in_reading_order() -> None:
    marks = [Mark(c, box(x, 20, 4, 9), order) for c, x, order in (("C", 25, 3), ("A", 16, 1), ("7", 20, 2))]
    assert slots(marks, 1, 1) == [CHARACTER_INDEX[c] for c in "A7C"]
    assert patch_targets(marks, SIDE, SIDE).order[GRID + 1] == 1


def test_the_upper_line_is_read_first() -> None:
    marks = [Mark("B", box(16, 26, 4, 5), 1), Mark("A", box(25, 16, 4, 5), 1)]
    assert slots(marks, 1, 1)[:2] == [CHARACTER_INDEX["A"], CHARACTER_INDEX["B"]]


def test_a_large_character_fills_every_patch_whose_middle_it_covers() -> None:
    marks = [Mark("8", box(42, 42, 30, 30), 1)]
    for row, column in ((2, 2), (2, 3), (3, 2), (3, 3)):
        assert slots(marks, row, column)[0] == CHARACTER_INDEX["8"]
    assert slots(marks, 1, 1) == [0, 0, 0]


def test_a_tip_says_where_on_the_scale_it_stands() -> None:
    targets = patch_targets([Mark("face", (0, 0, 168, 168)), Mark("tip", box(77, 21, 6, 6), 26)], SIDE, SIDE)
    patch = 21 // PATCH * GRID + 77 // PATCH
    assert targets.value[patch] == 26
    assert targets.thing[patch] == THING_INDEX["tip"]
    assert (targets.value > 0).sum() == 1


def test_the_drawn_gauges_tip_is_given_in_fiftieths_too() -> None:
    scene = next(s for s in (draw_scene("dial gauge", n) for n in range(9)))
    reading = next(q.answer for q in scene.questions if q.family == "gauge reading")
    targets = patch_targets(scene.marks, *scene.image.size)
    assert set(targets.value[targets.value > 0].tolist()) == {1 + round(STEPS * float(reading) / 10)}


def test_strips_say_which_character_lies_where() -> None:
    targets = patch_targets([Mark("1", box(16, 21, 4, 9), 1), Mark("2", box(26, 21, 4, 9), 2)], SIDE, SIDE)
    one, two = CHARACTER_INDEX["1"], CHARACTER_INDEX["2"]
    assert targets.strips[GRID + 1].tolist() == [one, 0, 0, two]
    assert (targets.strips > 0).sum() == 2


def test_a_large_character_lies_on_strips_of_every_patch_that_it_crosses() -> None:
    targets = patch_targets([Mark("8", box(42, 42, 28, 28), 1)], SIDE, SIDE)
    assert (targets.strips == CHARACTER_INDEX["8"]).sum() == 2 * 2 * 4
