"""Outcomes become counts, counts become aims that are met or not."""

import pytest

from benchmarks.unseen.families import PHOTOGRAPHS
from benchmarks.unseen.question import Truth
from benchmarks.unseen.tally import Result, judged, report, tally
from edgevlm.evaluation.forms import REFUSAL
from edgevlm.evaluation.said import Said


def result(text: str, confidence: float = 0.99, *, family: str = "label", truth: Truth = Truth(("A1",))) -> Result:  # noqa: B008
    return Result(family, "What?", truth, Said(text, confidence, text == REFUSAL))


def test_counts() -> None:
    row = tally("label", [result("A1"), result(REFUSAL), result("A2"), result("A2", 0.5)])
    assert (row.asked, row.right, row.refused, row.wrong, row.surely_wrong) == (4, 1, 1, 2, 1)
    assert not row.met


@pytest.mark.parametrize(
    ("wrong", "confidence", "met"),
    [(0, 0.99, True), (10, 0.5, True), (11, 0.5, False), (1, 0.99, True), (2, 0.99, False)],
)
def test_the_aims(wrong: int, confidence: float, met: bool) -> None:
    results = [result("A2", confidence)] * wrong + [result("A1")] * (60 - wrong) + [result(REFUSAL)] * 40
    assert tally("label", results).met is met


def test_photographs_have_an_aim_of_their_own() -> None:
    results = [result("A2", 0.5, truth=Truth())] * 6 + [result(REFUSAL, truth=Truth())] * 94
    assert tally("label", results).met
    assert not tally(PHOTOGRAPHS, results).met


def test_refusals_are_not_calibrated() -> None:
    results = [result("A1", 0.8), result(REFUSAL), result(REFUSAL, truth=Truth()), result("A2", 0.6, truth=Truth())]
    assert [(one.right, one.confidence) for one in judged(results)] == [(True, 0.8), (False, 0.6)]


def test_the_report_is_a_line_for_each_family() -> None:
    text = report([result("A1"), result("A2", family="gauge")])
    assert "| label | 1 | 100 % | 0 % | 0 % | 0 % | met |" in text
    assert "| gauge | 1 | 0 % | 0 % | 100 % | 100 % | not met |" in text
    assert "1 of 2 families meet the aims" in text
