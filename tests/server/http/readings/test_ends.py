"""Readings that come to no answer: the client leaves, time is up, the engine fails; every field comes to an end."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live import LiveServer
from tests.pictures import data_url
from tests.server.engines import FailingEngine, SlowEngine, until
from tests.server.http.leaving import leave_once_accepted
from tests.server.http.readings.bodies import LONG, TEXT, post
from tests.server.http.refusing import check_error
from tests.server.http.test_decisions import balanced

Bundles = Callable[[str], Path]


@pytest.mark.slow
def test_a_client_that_leaves_ends_all_fields(bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=2, seconds=0.1)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        fields = [{**LONG, "name": f"{number}"} for number in range(12)]
        leave_once_accepted(server, "/v1/readings", {"json": {"image": data_url(), "fields": fields}})
        until(lambda: server.service.admission.inside == 0, "the places to be given back")
        decoded = engine.decoded
        assert server.chat("still there?", max_tokens=3).status_code == 200
        assert engine.decoded <= decoded + 6
        assert server.metrics()["edgevlm_requests_accepted_total"] < 6
        balanced(server)


@pytest.mark.slow
def test_an_answer_that_takes_too_long_is_a_504(bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=1, seconds=0.2)
    with LiveServer.on_engine(bundles("v2"), engine, request_timeout=2.0) as server:
        fields = [{**LONG, "name": f"{number}"} for number in range(4)]
        check_error(post(server, fields=fields), 504, "answer_timeout")
        balanced(server)


@pytest.mark.slow
def test_an_engine_that_fails_is_told(bundles: Bundles) -> None:
    with LiveServer.on_engine(bundles("v2"), FailingEngine(bundles("v2"), slots=2, fail_at=1)) as server:
        assert post(server, fields=[TEXT, {**TEXT, "name": "y"}]).status_code == 503
        balanced(server)
