"""Held-out questions, the scorer and the interval, on values worked out by hand."""

import pytest
from edgevlm_demo.evaluation import evaluation_questions, family_scores, is_right, table, wilson_interval
from edgevlm_demo.scenes import SCENES
from edgevlm_demo.scenes.wording import UNANSWERABLE


@pytest.mark.parametrize(
    ("said", "answer", "right"),
    [
        ("red", "red", True),
        (" Red. \n", "red", True),
        ("i cannot see that in the image", UNANSWERABLE, True),
        ("42.7", "42.7", True),
        ("42.7.", "42.7", True),
        ("red..", "red", False),
        ("42,7", "42.7", False),
        ("the red lamp", "red", False),
        ("", "red", False),
    ],
)
def test_exact_match(said: str, answer: str, right: bool) -> None:
    assert is_right(said, answer) is right


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    [(5, 10, 0.2366, 0.7634), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_interval(right: int, count: int, low: float, high: float) -> None:
    assert wilson_interval(right, count) == pytest.approx((low, high), abs=5e-5)


def test_wilson_interval_of_nothing_says_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_family_scores_count_right_answers_and_the_majority() -> None:
    results = [("lamp", "red", "red"), ("lamp", "red", "green"), ("lamp", "Red.", "red"), ("kind", "x", "lot number")]
    lamp, kind = family_scores(results)
    assert (lamp.family, lamp.count, lamp.right) == ("lamp", 3, 2)
    assert lamp.accuracy == pytest.approx(2 / 3)
    assert lamp.majority == pytest.approx(2 / 3)
    assert (kind.count, kind.right, kind.majority) == (1, 0, 1.0)


def test_table_has_a_line_per_family() -> None:
    text = table(family_scores([("lamp", "red", "red"), ("kind", "x", "y")]))
    lines = text.splitlines()
    assert len(lines) == 4
    assert lines[2] == "| lamp | 1 | 100.0 | 20.7-100.0 | 100.0 |"


def test_evaluation_asks_every_question_of_every_scene() -> None:
    asked = list(evaluation_questions(2))
    assert {question.scene for question in asked} == set(SCENES)
    assert {question.seed for question in asked} == {900_000_000, 900_000_001}
    assert len(asked) == sum(5 for _ in SCENES for _ in range(2))
    assert asked == list(evaluation_questions(2))


def test_trained_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="900000000"):
        next(evaluation_questions(1, first_seed=899_999_999))
