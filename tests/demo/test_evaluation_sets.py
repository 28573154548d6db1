"""Scores and held-out sets."""

import pytest
from edgevlm_demo.evaluation import (
    SETS,
    STYLED,
    QuestionSet,
    comparison,
    evaluation_questions,
    family_scores,
    is_near,
    table,
)
from edgevlm_demo.scenes import SCENES


def test_seeds_that_may_have_been_trained_on_are_refused() -> None:
    with pytest.raises(ValueError, match="trained on"):
        next(evaluation_questions(1, 899_999_999))


def test_every_scene_is_asked_about() -> None:
    assert [q.scene for q in evaluation_questions(1) if q.family == "description"] == list(SCENES)


def test_held_out_fonts_concern_what_is_printed() -> None:
    assert {q.scene for q in evaluation_questions(1, style="held out")} == set(STYLED)


def test_sets_vary_one_thing_each() -> None:
    plain, *others = SETS.values()
    assert plain == QuestionSet()
    assert [sum(a != b for a, b in zip(plain, other, strict=True)) for other in others] == [1, 1]


def test_near_is_half_a_step() -> None:
    assert is_near("7.0", "7.5") and is_near("8.0.", "7.5")
    assert not is_near("6.5", "7.5") and not is_near("red", "7.5") and not is_near("nan", "7.5")


def test_a_tolerance_may_be_given_and_none_is_never_near() -> None:
    assert is_near("7.1.", "7.4", 0.3) and not is_near("7.8", "7.4", 0.3)
    assert not is_near("7.40", "7.4", 0.0)


def test_majority_is_what_the_commonest_answer_scores() -> None:
    rows = [("gauge reading", "5.0", "5.0"), ("gauge reading", "4.5", "5.0"), ("gauge reading", "1.0", "5.5")]
    exact, near = family_scores(rows)
    assert (exact.right, exact.count) == (1, 3)
    assert exact.majority == pytest.approx(2 / 3)
    assert (near.family, near.right, near.majority) == ("gauge reading, within half a step", 2, 1.0)


def test_tables() -> None:
    scores = family_scores([("defect", "dent", "dent"), ("defect", "none", "dent")])
    assert "| defect | 2 | 50.0 | 9.5-90.5 | 100.0 |" in table(scores)
    text = comparison({"same": scores, "fonts": []})
    assert "| defect | 50.0 (2) |  |" in text
