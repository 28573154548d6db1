"""Whether confidences that are right are found right, and those that are not are mended by the right temperature."""

import math
from random import Random

import pytest

from edgevlm.evaluation.calibration import Judged, bins, expected_error, fit, log_loss, report
from edgevlm.evaluation.said import TEMPERATURES


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def answers(count: int, heat: float) -> list[Judged]:
    """Of a model with two words, its logits `heat` times as large as its knowledge: that temperature mends it."""
    random = Random(0)
    made = []
    for number in range(count):
        knowledge = random.uniform(0, 4)
        right = random.random() < sigmoid(knowledge)
        curve = tuple(math.log(sigmoid(heat * knowledge / temperature)) for temperature in TEMPERATURES)
        made.append(Judged(right, sigmoid(heat * knowledge), number % 2, curve))
    return made


def test_bins_hold_every_answer_once_and_their_means() -> None:
    found = bins([(0.0, False), (0.2, True), (0.95, True), (0.97, False), (1.0, True)])
    assert [one.answers for one in found] == [2, 1, 1, 1]
    assert found[0].confidence == pytest.approx(0.1) and found[0].right == 0.5
    assert [one.high for one in found] == [0.2, 0.95, 0.99, 1.0]


def test_expected_error_is_the_gap_weighted_by_answers() -> None:
    pairs = [(0.7, True), (0.7, False), (0.5, False), (0.5, False)]
    assert expected_error(pairs) == pytest.approx(0.5 * 0.2 + 0.5 * 0.5)


def test_log_loss_of_a_wrong_answer_at_one_is_finite() -> None:
    assert log_loss([0.0], [False]) < 20
    assert log_loss([math.log(0.5)], [False]) == pytest.approx(math.log(2))


@pytest.mark.parametrize("heat", [0.7, 2.0, 4.0])
def test_the_temperature_that_was_built_in_is_found(heat: float) -> None:
    found = fit(answers(4000, heat))
    assert found is not None and found.helps
    assert found.temperature == pytest.approx(heat, rel=0.2)
    assert found.error[1] < found.error[0]


@pytest.mark.slow
def test_what_is_right_already_is_left_alone() -> None:
    found = fit(answers(4000, 1.0))
    assert found is not None
    assert found.temperature == pytest.approx(1.0, rel=0.11) and not found.helps
    assert "No temperature does better" in report(answers(4000, 1.0))


def test_the_report_says_what_to_write() -> None:
    text = report(answers(1000, 3.0))
    assert "| 0.99 to 1.00 |" in text and '"confidence_temperature": ' in text


def test_a_few_wrong_answers_are_not_fitted() -> None:
    few = [*answers(4000, 2.0)[:4], *(Judged(True, 0.9, n % 2, (-0.1,) * len(TEMPERATURES)) for n in range(50))]
    assert fit(few) is None and "Too few wrong answers" in report(few)


def test_a_server_gives_no_curve_and_no_temperature() -> None:
    text = report([Judged(True, 0.9, 0), Judged(False, 0.8, 1)])
    assert "temperature" not in text and "50.0 %" in text


def test_only_refusals_are_one_sentence() -> None:
    assert report([]) == "Every answer was a refusal: there is nothing to say about confidence."
