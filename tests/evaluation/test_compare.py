"""Whether a difference is more than chance: figures worked out by hand, and answers whose case is clear."""

from fractions import Fraction

import pytest

from edgevlm.errors import CommandError
from edgevlm.evaluation.published.compare import compare, mcnemar
from edgevlm.evaluation.published.question import Judged, Units
from edgevlm.evaluation.published.run import load


def units(points: list[float], *, size: int = 1, category: str = "open") -> Units:
    """Answers in units of so many."""
    judged = [Judged(category, "", "", value) for value in points]
    return {str(start): tuple(judged[start : start + size]) for start in range(0, len(judged), size)}


@pytest.mark.parametrize(
    ("only_first", "only_second", "wanted"),
    [
        (0, 0, Fraction(1)),
        (3, 3, Fraction(1)),
        (0, 5, Fraction(2, 32)),
        (1, 9, Fraction(2 * 11, 1024)),
        (9, 1, Fraction(2 * 11, 1024)),
        (5, 6, Fraction(1)),
    ],
)
def test_mcnemars_exact_test(only_first: int, only_second: int, wanted: Fraction) -> None:
    assert mcnemar(only_first, only_second) == pytest.approx(float(wanted))


@pytest.mark.slow
def test_mcnemar_takes_thousands() -> None:
    assert mcnemar(2000, 2000) == 1
    assert 0 <= mcnemar(1000, 3000) < 1e-100


def test_a_clear_difference() -> None:
    found = compare(load("gqa"), units([0.0] * 40), units([1.0] * 10 + [0.0] * 30))
    assert (found.difference, found.only_first, found.only_second) == (25, 0, 10)
    assert found.p == pytest.approx(2 / 1024)
    # a normal interval would be 25 +- 13.4
    assert 8 <= found.low <= 15
    assert 35 <= found.high <= 42
    assert "Difference (second - first): +25.00, 95 % interval" in found.text()
    assert "McNemar's exact test, p = 0.001953" in found.text()


def test_equal_answers_have_no_interval() -> None:
    same = units([1.0, 0.0, 1.0])
    found = compare(load("gqa"), same, same)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_points_in_part_have_an_interval_and_no_test() -> None:
    found = compare(load("textvqa"), units([0.3] * 20), units([0.6] * 20))
    assert found.difference == pytest.approx(30)
    assert found.low == pytest.approx(30)
    assert found.p is None
    assert "McNemar" not in found.text()


def test_rotations_count_together() -> None:
    first, second = units([1.0, 0.0, 1.0, 1.0], size=2), units([1.0, 1.0, 0.0, 0.0], size=2)
    found = compare(load("mmbench"), first, second)
    assert (found.only_first, found.only_second, found.difference) == (1, 1, 0)


def test_pictures_are_drawn_again_within_their_subtask() -> None:
    """Otherwise a subtask could be missing from a sample, and 200 points of the score with it."""
    first = {**units([1.0] * 4, size=2, category="count"), "x": units([1.0, 1.0], size=2, category="OCR")["0"]}
    second = {**units([0.0] * 4, size=2, category="count"), "x": first["x"]}
    found = compare(load("mme"), first, second)
    assert (found.difference, found.low, found.high) == (-200, -200, -200)


def test_others_questions_cannot_be_compared() -> None:
    with pytest.raises(CommandError, match="did not answer the same questions"):
        compare(load("gqa"), units([1.0, 1.0]), units([1.0]))
