"""Right, refused or wrong, and how sure: what an answer is counted as."""

from __future__ import annotations

import pytest
from edgevlm_demo.outcomes import Answered, outcome_table, plant_questions, tallies
from edgevlm_demo.plant import PLANT
from edgevlm_demo.scenes.wording import NOTHING, UNANSWERABLE


@pytest.mark.parametrize(
    ("said", "answer", "tolerance", "outcome"),
    [
        ("7.4", "7.4", 0.0, "right"),
        ("7.6", "7.4", 0.3, "right"),
        ("7.7", "7.4", 0.3, "right"),
        ("7.1.", "7.4", 0.3, "right"),
        ("7.8", "7.4", 0.3, "wrong"),
        ("07.4", "7.4", 0.0, "wrong"),
        ("red", "7.4", 0.3, "wrong"),
        (UNANSWERABLE, "7.4", 0.3, "refused"),
        (UNANSWERABLE, UNANSWERABLE, 0.0, "right"),
        (NOTHING, UNANSWERABLE, 0.0, "right"),
        (UNANSWERABLE, NOTHING, 0.0, "right"),
        (NOTHING, "7.4", 0.3, "refused"),
        ("12", UNANSWERABLE, 0.0, "wrong"),
    ],
)
def test_outcomes(said: str, answer: str, tolerance: float, outcome: str) -> None:
    assert Answered("gauge reading", said, answer, tolerance, 0.5).outcome == outcome


def test_only_what_is_wrong_and_sure_counts_as_that() -> None:
    rows = tallies(
        [
            Answered("label text", "A1", "A1", 0.0, 0.99),
            Answered("label text", "A2", "A1", 0.0, 0.95),
            Answered("label text", "A2", "A1", 0.0, 0.5),
            Answered("label text", UNANSWERABLE, "A1", 0.0, 0.99),
        ]
    )
    assert [(row.right, row.refused, row.sure, row.count) for row in rows] == [(1, 1, 1, 4)]
    assert "| label text | 4 | 25.0 | 25.0 | 50.0 | 25.0 |" in outcome_table(rows)


def test_every_kind_is_asked_about_and_no_trained_seed() -> None:
    questions = list(plant_questions(1))
    assert {question.scene for question in questions} == set(PLANT)
    with pytest.raises(ValueError, match="trained"):
        next(plant_questions(1, 5))
