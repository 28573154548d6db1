"""Samples become percentiles and sums."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevlm.bench.client import OK, Sample
from edgevlm.bench.report import percentile, spread, summarise


@given(st.lists(st.floats(0, 1000), min_size=2, max_size=50))
def test_percentiles_are_those_of_the_statistics_module(values: list[float]) -> None:
    expected = statistics.quantiles(values, n=100, method="inclusive")
    ordered = sorted(values)
    for percent in (50, 90, 99):
        assert percentile(ordered, percent / 100) == pytest.approx(expected[percent - 1], abs=1e-9)


def test_the_spread_of_known_times() -> None:
    assert spread([]) is None
    assert spread([3.0]) == (3.0, 3.0, 3.0, 3.0)
    assert spread(float(n) for n in range(100, -1, -1)) == pytest.approx((50, 90, 99, 100))


def sample(outcome: str = OK, **fields: float | int | tuple[float, ...] | None) -> Sample:
    times = {"intended": 1.0, "sent": 1.5, "ended": 4.0, "pieces": (2.0, 2.5, 3.5)}
    counts = {"prompt_tokens": 100, "completion_tokens": 4, "cached_tokens": 25}
    return Sample(outcome=outcome, detail="", **{**times, **counts, **fields})  # type: ignore[arg-type]


def test_a_summary_counts_whole_answers_only_and_times_them_from_the_intended_start() -> None:
    samples = [
        sample(),
        sample(completion_tokens=None, cached_tokens=None),
        sample("429"),
        sample("429"),
        sample("x"),
    ]
    found = summarise(samples, seconds=2.0)
    assert (found.requests, found.ok, found.errors) == (5, 2, {"429": 2, "x": 1})
    assert found.requests == found.ok + sum(found.errors.values())
    assert (found.requests_per_second, found.tokens_per_second) == (1.0, (4 + 3) / 2)
    assert found.time_to_first_token == (1.0, 1.0, 1.0, 1.0)
    assert found.end_to_end == (3.0, 3.0, 3.0, 3.0)
    assert found.gap is not None
    assert (found.gap.p50, found.gap.max) == (0.75, 1.0)
    assert found.cached == 0.25


def test_what_a_server_does_not_tell_is_left_out() -> None:
    found = summarise([sample(pieces=(), prompt_tokens=None, cached_tokens=None)], seconds=1.0)
    assert (found.time_to_first_token, found.gap, found.cached) == (None, None, None)
