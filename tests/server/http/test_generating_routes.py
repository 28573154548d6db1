"""What holds for every route that runs the engine: places are bounded, and who leaves gives his own back."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.live import LiveServer
from tests.pictures import data_url
from tests.server.engines import SlowEngine, until
from tests.server.http.leaving import leave_once_accepted
from tests.server.http.refusing import check_error

Bundles = Callable[[str], Path]

LONG = "tell me about the gauge " * 8
REQUESTS: dict[str, dict[str, Any]] = {
    "/ask": {"files": {"question": (None, LONG)}},
    "/v1/chat/completions": {"json": {"messages": [{"role": "user", "content": LONG}]}},
    "/v1/completions": {"json": {"prompt": LONG}},
    "/v1/decisions": {
        "json": {"input": "a", "questions": [{"type": "predicate", "instructions": f"{n}?"} for n in range(32)]}
    },
    "/v1/readings": {
        "json": {
            "image": data_url(),
            "fields": [{"name": "x", "question": LONG, "type": "text", "pattern": "[a-z]{200}", "max_length": 200}],
        }
    },
    "/v1/responses": {"json": {"input": LONG}},
}
STREAMED: dict[str, dict[str, Any]] = {
    path: {"json": {**REQUESTS[path]["json"], "stream": True}}
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/responses")
}


@pytest.mark.slow
def test_no_generating_route_is_left_out(echo_server: LiveServer) -> None:
    paths = echo_server.client.get("/openapi.json").json()["paths"]
    assert {path for path, methods in paths.items() if "500" in methods.get("post", {}).get("responses", {})} == set(
        REQUESTS
    )


@pytest.mark.slow
def test_a_full_queue_refuses_every_one(bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=1)
    engine.gate.clear()
    with LiveServer.on_engine(bundles("v2"), engine, max_queue=0) as server, ThreadPoolExecutor(1) as pool:
        first = pool.submit(server.chat, "hold the only place")
        until(lambda: server.service.admission.inside == 1, "the place to be taken")
        for path, request in REQUESTS.items():
            response = server.client.post(path, **request)
            check_error(response, 429, "queue_full")
            assert response.headers["retry-after"] == "1"
        engine.gate.set()
        assert first.result().status_code == 200
        assert server.metrics()['edgevlm_admission_rejections_total{reason="queue_full"}'] == len(REQUESTS)


@pytest.mark.slow
@pytest.mark.parametrize("path", REQUESTS)
def test_a_client_that_leaves_gives_its_place_back(bundles: Bundles, path: str) -> None:
    engine = SlowEngine(bundles("v2"), slots=2, seconds=0.1)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        leave_once_accepted(server, path, REQUESTS[path])
        until(lambda: server.service.admission.inside == 0, "the place to be given back")
        # far from all that was asked for
        assert engine.decoded < 120
        metrics = server.metrics()
        # of many short sequences those under way may just have come to their end
        assert metrics["edgevlm_requests_cancelled_total"] == 1 or path == "/v1/decisions"
        assert metrics["edgevlm_requests_accepted_total"] < 60
        assert metrics["edgevlm_requests_accepted_total"] == sum(
            metrics[f"edgevlm_requests_{how}_total"] for how in ("completed", "failed", "cancelled")
        )
        assert server.chat("still there?", max_tokens=2).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("path", STREAMED)
def test_so_does_one_that_leaves_a_stream(bundles: Bundles, path: str) -> None:
    engine = SlowEngine(bundles("v2"), slots=2, seconds=0.1)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        with server.client.stream("POST", path, **STREAMED[path]) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            next(response.iter_lines())
        until(lambda: server.service.admission.inside == 0, "the place to be given back")
        assert engine.decoded < 120
        assert server.metrics()["edgevlm_requests_cancelled_total"] == 1
