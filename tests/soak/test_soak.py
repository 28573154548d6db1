"""The soak in short: nothing is lost or mixed up, and a leak is noticed. Its checks find what they must."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.soak.ledger import Ledger, imbalances, read_metrics
from tests.soak.run import Soak, soak
from tests.soak.watch import Reading, unbounded

Bundles = Callable[[str], Path]

QUIET = Reading(memory=100 << 20, descriptors=9, threads=7, children=2)


@pytest.mark.slow
def test_sixteen_streams_of_which_some_leave_lose_and_mix_nothing(bundles: Bundles) -> None:
    verdict = soak(Soak(bundles("v2"), seconds=60, fault_seconds=3))
    assert verdict.wrong == []
    assert verdict.ledger.answered > 100 and verdict.ledger.cancelled > 20
    assert verdict.ledger.refused.total() > 20 and verdict.killed


@pytest.mark.slow
def test_a_server_that_leaks_is_caught_by_the_same_check(bundles: Bundles) -> None:
    """More a request than in the control of `make soak`, as the time is shorter."""
    verdict = soak(Soak(bundles("v2"), seconds=8, leaked=400_000))
    assert len(verdict.wrong) == 1
    assert verdict.wrong[0].startswith("memory grew by")


METRICS = """
# HELP edgevlm_requests_received_total text
edgevlm_requests_received_total 10.0
edgevlm_requests_accepted_total 7.0
edgevlm_requests_completed_total 5.0
edgevlm_requests_cancelled_total 2.0
edgevlm_admission_rejections_total{reason="invalid_request"} 2.0
edgevlm_admission_rejections_total{reason="queue_full"} 1.0
"""


def counted(**changed: Any) -> Ledger:
    return replace(Ledger(10, 4, 3, Counter(invalid_json=2, queue_full=1)), **changed)


def test_a_ledger_that_agrees() -> None:
    assert imbalances(counted(), read_metrics(METRICS)) == []


def test_a_picture_that_is_lost_with_its_process_is_no_fault() -> None:
    lost = counted(refused=Counter(invalid_json=2, image_decoder_busy=1))
    assert imbalances(lost, read_metrics(METRICS.replace("queue_full", "unavailable"))) == []


@pytest.mark.parametrize(
    ("ledger", "metrics"),
    [
        (counted(sent=11), METRICS),
        (counted(answered=6, cancelled=1), METRICS),
        (counted(cancelled=2), METRICS),
        (counted(), METRICS.replace("completed_total 5", "completed_total 4")),
        (counted(), METRICS.replace('queue_full"} 1', 'queue_full"} 0')),
        (counted(), METRICS + "edgevlm_requests_failed_total 1.0\n"),
        (counted(refused=Counter(invalid_json=2, image_decoder_busy=1)), METRICS),
        (counted(), METRICS + "edgevlm_num_requests_running 1.0\n"),
    ],
)
def test_one_request_too_many_or_too_few_is_found(ledger: Ledger, metrics: str) -> None:
    assert imbalances(ledger, read_metrics(metrics))


def test_a_process_at_rest_is_bounded() -> None:
    assert unbounded([QUIET] * 20, QUIET, QUIET) == []


@pytest.mark.parametrize(
    ("field", "more"), [("memory", 40 << 20), ("descriptors", 3), ("threads", 1), ("children", 1)]
)
def test_whatever_grows_is_named(field: str, more: int) -> None:
    grown = QUIET._replace(**{field: getattr(QUIET, field) + more})
    assert [sentence.split()[0].rstrip(":") for sentence in unbounded([QUIET] * 10 + [grown] * 10, QUIET, grown)] == [
        field
    ]
