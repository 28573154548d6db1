"""What counts as right, refused and wrong."""

import pytest

from benchmarks.unseen.question import Outcome, Truth, outcome
from edgevlm.evaluation.forms import REFUSAL

GAUGE = Truth(number=7.46, tolerance=0.1, unit="bar")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        *(("7.4", "right"), ("7.56", "right"), ("7,5", "right"), ("7.5 bar", "right"), ("7.5 Bar.", "right")),
        *(("7.57", "wrong"), ("7.5 psi", "wrong"), ("75", "wrong"), ("about 7.5", "wrong"), ("", "wrong")),
        *((REFUSAL, "refused"), ("i cannot see that in the image", "refused")),
    ],
)
def test_a_gauge_is_read_within_half_a_division(said: str, expected: Outcome) -> None:
    assert outcome(said, GAUGE) == expected


def test_a_minus_sign_counts() -> None:
    truth = Truth(number=-0.5, tolerance=0.1)
    assert outcome("-0.5", truth) == outcome("\u22120.5", truth) == "right"
    assert outcome("0.5", truth) == "wrong"


def test_a_display_is_read_to_its_last_digit() -> None:
    truth = Truth(number=68985.0)
    assert outcome("68985", truth) == outcome("68985.0", truth) == "right"
    assert outcome("68984", truth) == outcome("68985.1", truth) == "wrong"
    assert str(truth) == "68985"


@pytest.mark.parametrize(("said", "expected"), [("61A530", "right"), (" 61a530. ", "right"), ("61A53", "wrong")])
def test_texts_are_compared_whole(said: str, expected: Outcome) -> None:
    assert outcome(said, Truth(("61A530",))) == expected


def test_where_nothing_is_to_tell_a_refusal_is_right() -> None:
    assert outcome(REFUSAL, Truth()) == "right"
    assert outcome("There is no device in the image.", Truth()) == "right"
    assert outcome("none", Truth()) == "wrong"


def test_a_truth_says_itself() -> None:
    assert str(GAUGE) == "7.46 ± 0.1 bar"
    assert str(Truth()) == "(to be refused)"
