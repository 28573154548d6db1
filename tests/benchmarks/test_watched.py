"""What being watched costs: two real servers in turn, and how their figures become a table."""

from pathlib import Path

import pytest

from benchmarks.watched import Cost, Round, measured, report


@pytest.mark.slow
def test_two_servers_are_asked_in_turn(tiny_bundle: Path) -> None:
    found = measured(tiny_bundle, streams=2, requests=4, max_tokens=4, rounds=2)
    assert len(found) == 2
    assert all(cost.rate > 0 for one in found for cost in one)


def test_ratios_are_those_of_each_round() -> None:
    rounds = [Round(Cost(100, 0.010), Cost(99, 0.011)), Round(Cost(50, 0.020), Cost(51, 0.020))]
    text = report(rounds, 8)
    assert "1.005" in text and "0.990 to 1.020" in text
    assert "1.050" in text and "1.000 to 1.100" in text
