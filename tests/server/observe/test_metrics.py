"""What `/metrics` tells: series from the start, counts that are those of the requests, labels from fixed lists."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from edgevlm_server.errors import CODES
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.model import load_model
from edgevlm_server.observe.families import Families
from edgevlm_server.observe.metrics import Metrics
from edgevlm_server.observe.record import RequestRecord
from edgevlm_server.observe.request_metrics import MOST_CLIENTS, RequestMetrics
from edgevlm_server.observe.vllm_names import NAMES
from edgevlm_server.settings import Settings
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as families

from tests.live import LiveServer
from tests.pictures import data_url, image_part, text_part, user
from tests.server.engines import until

Bundles = Callable[[str], Path]
Series = dict[str, float]


@pytest.fixture(scope="module")
def server(bundles: Bundles) -> Iterator[LiveServer]:
    """With room for one picture and a few prompts."""
    settings = {"image_cache": 200_000, "prefix_cache": 2_000, "max_batch": 3, "max_queue": 5}
    with LiveServer.on_bundle(bundles("v2"), engine="echo", **settings) as server:
        yield server


@pytest.fixture
def more(server: LiveServer) -> Iterator[Callable[[], Series]]:
    """By how much each series has grown since the test began, once every request is over."""
    before = server.metrics()

    def grown() -> Series:
        until(lambda: server.service.admission.inside == 0, "every request to end")
        now = server.metrics()
        return {name: now[name] - before.get(name, 0.0) for name in now if now[name] != before.get(name, 0.0)}

    yield grown


def open_names(text: str) -> set[str]:
    """Of the families; raises what OpenMetrics does not allow."""
    return {family.name for family in open_families(text)}  # type: ignore[no-untyped-call]


@pytest.mark.slow
def test_requests_are_counted_by_route_and_status(server: LiveServer, more: Callable[[], Series]) -> None:
    server.chat("hello", max_tokens=2)
    server.client.get("/v1/models/other")
    for path in ("/nowhere/1", "/nowhere/2"):
        server.client.get(path)
    server.client.post("/v1/chat/completions", content=b"{", headers={"content-type": "application/json"})

    def total(of: str) -> float:
        return sum(value for name, value in more().items() if of in name)

    # errors are counted behind requests
    until(lambda: total("http_requests_total") == 5 and total("request_errors_total") == 4, "five requests")
    found = {
        name: value for name, value in more().items() if re.match("edgevlm_(http_requests|request_errors)_", name)
    }
    assert found == {
        'edgevlm_http_requests_total{route="/v1/chat/completions",status="200"}': 1,
        'edgevlm_http_requests_total{route="/v1/chat/completions",status="400"}': 1,
        'edgevlm_http_requests_total{route="/v1/models/{model:path}",status="404"}': 1,
        'edgevlm_http_requests_total{route="none",status="404"}': 2,
        'edgevlm_request_errors_total{code="invalid_json"}': 1,
        'edgevlm_request_errors_total{code="model_not_found"}': 1,
        'edgevlm_request_errors_total{code="not_found"}': 2,
    }
    assert more()['edgevlm_http_request_outcomes_total{outcome="refused"}'] == 4


def test_stages_are_those_of_the_answers(server: LiveServer, more: Callable[[], Series]) -> None:
    response = server.client.post(
        "/v1/chat/completions", json={"messages": user(image_part(data_url()), text_part())}
    )
    until(lambda: "edgevlm_request_send_time_seconds_count" in more(), "the record to be read")
    grown = more()
    for stage in ("body", "prepare", "pictures", "queue", "prefill", "decode", "send"):
        assert grown[f"edgevlm_request_{stage}_time_seconds_count"] == 1, stage
    assert "edgevlm_request_score_time_seconds_count" not in grown
    assert grown["edgevlm_http_response_body_bytes_total"] == len(response.content)


def test_steps_are_timed_by_kind(server: LiveServer, more: Callable[[], Series]) -> None:
    server.client.post(
        "/v1/chat/completions", json={"messages": user(image_part(data_url((1, 2, 3))), text_part()), "max_tokens": 4}
    )
    grown = more()
    assert grown['edgevlm_step_seconds_count{kind="encode"}'] == 1
    assert grown['edgevlm_step_seconds_count{kind="decode"}'] == 3, "the first token is the prompt's"
    assert grown['edgevlm_step_seconds_count{kind="prefill"}'] >= 1


def test_limits_stand_beside_what_they_limit(server: LiveServer) -> None:
    found = server.metrics()
    assert found["edgevlm_num_requests_running_limit"] == 3
    assert found["edgevlm_num_requests_waiting_limit"] == 5
    assert found["edgevlm_num_requests_inside_limit"] == 8
    assert found["edgevlm_image_cache_limit_bytes"] == 200_000
    assert found["edgevlm_prefix_cache_limit_bytes"] == 2_000


@pytest.mark.slow
def test_caches_say_how_full_they_are_and_what_gave_way(server: LiveServer, more: Callable[[], Series]) -> None:
    for shade in range(40):
        server.client.post(
            "/v1/chat/completions",
            json={
                "messages": user(image_part(data_url((shade, 9, 9))), text_part(f"{shade} " * 20)),
                "max_tokens": 1,
            },
        )
    grown, now = more(), server.metrics()
    assert 0 < now["edgevlm_image_cache_bytes"] <= 200_000
    assert 0 < now["edgevlm_prefix_cache_bytes"] <= 2_000
    assert grown["edgevlm_image_cache_evictions_total"] > 0
    assert grown["edgevlm_prefix_cache_evictions_total"] > 0


def test_the_process_is_described(server: LiveServer) -> None:
    found = server.metrics()
    for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "edgevlm_threads"):
        assert found[name] > 0
    assert 0 < found["edgevlm_uptime_seconds"] < 3600


QUESTION = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 12}


def test_how_sure_the_model_is_of_every_answer(server: LiveServer, more: Callable[[], Series]) -> None:
    answer = server.client.post("/v1/chat/completions", json=QUESTION | {"n": 2}).json()
    grown = more()
    assert grown["edgevlm_answer_confidence_count"] == 2
    sure = [choice["confidence"] for choice in answer["choices"]]
    assert grown["edgevlm_answer_confidence_sum"] == pytest.approx(sum(sure), abs=1e-5)
    assert not any(name.startswith("edgevlm_answers_refused") for name in grown)


def test_answers_that_are_none_are_counted_by_their_reason(server: LiveServer, more: Callable[[], Series]) -> None:
    for text, least in (("Unanswerable", 0), ("zebra", 0.5), ("Unanswerable", 0.5), ("zebra", 0)):
        fields = {"structured_outputs": {"choice": [text]}, "min_confidence": least, "max_tokens": 30}
        assert server.client.post("/v1/chat/completions", json=QUESTION | fields).status_code == 200
    grown = more()
    assert grown['edgevlm_answers_refused_total{reason="by_model"}'] == 2
    assert grown['edgevlm_answers_refused_total{reason="low_confidence"}'] == 1


def test_decisions_tell_how_sure_and_how_far_the_model_refuses(
    server: LiveServer, more: Callable[[], Series]
) -> None:
    question = {"type": "predicate", "instructions": "Is a bolt missing?"}
    pick = {"type": "choice", "instructions": "Which?", "choices": [{"value": "red"}, {"value": "blue"}]}
    response = server.client.post("/v1/decisions", json={"input": "A flange.", "questions": [question, pick]})
    yes, colour = response.json()["answers"]
    grown = more()
    sure = [yes["confidence"], colour["confidence"]]
    mass = [one["diagnostics"]["label_mass"] for one in (yes, colour)]
    assert grown["edgevlm_decision_confidence_count"] == grown["edgevlm_decision_label_mass_count"] == 2
    assert grown["edgevlm_decision_confidence_sum"] == pytest.approx(sum(sure))
    now = server.metrics()["edgevlm_decision_label_mass_sum"]
    assert now == pytest.approx(sum(mass), abs=1e-9)


@pytest.mark.slow
def test_series_exist_from_the_start(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        fresh = server.metrics()
    for code in CODES:
        assert fresh[f'edgevlm_request_errors_total{{code="{code}"}}'] == 0
    for kind in ("prefill", "decode", "encode"):
        assert fresh[f'edgevlm_step_seconds_count{{kind="{kind}"}}'] == 0
    assert fresh['edgevlm_http_requests_total{route="/v1/chat/completions",status="429"}'] == 0
    assert fresh['edgevlm_http_requests_total{route="/ready",status="503"}'] == 0


def test_openmetrics_for_who_asks_for_it(server: LiveServer) -> None:
    plain = server.client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=")
    accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5"
    response = server.client.get("/metrics", headers={"accept": accept})
    assert response.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    names = open_names(response.text)
    assert names == {family.name for family in families(plain.text)}
    assert response.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text;version=x", "nonsense", "*/*", "text/plain;version="]
)
def test_no_accept_header_is_a_failure(server: LiveServer, accept: str) -> None:
    assert server.client.get("/metrics", headers={"accept": accept}).status_code == 200


@pytest.mark.slow
def test_vllms_names_tell_the_same(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo", metrics_aliases="vllm") as server:
        server.chat("hello", max_tokens=3)
        until(lambda: server.metrics()["edgevlm_request_decode_time_seconds_count"] == 1, "the record")
        found = server.metrics()
        accept = {"accept": "application/openmetrics-text"}
        # as it was sent: the parser would put colons back
        lines = server.client.get("/metrics", headers=accept).text.splitlines()
        assert any(line.startswith("vllm:num_requests_running{") for line in lines)
    labels = 'engine="0",model_name="v2"'
    assert found[f"vllm:generation_tokens_total{{{labels}}}"] == found["edgevlm_generation_tokens_total"] == 3
    assert found['vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="v2"}'] == 1
    assert found['vllm:request_success_total{engine="0",finished_reason="abort",model_name="v2"}'] == 0
    names = {re.sub("(_total|_bucket|_count|_sum)?({.*)?$", "", name) for name in found if name.startswith("vllm:")}
    assert names == {f"vllm:{one}" for own in NAMES.values() for one in own}, "each of ours exists"
    assert "vllm:" not in Metrics().text().decode()


@pytest.fixture
def keyed(bundles: Bundles, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    key = add_key(tmp_path / "keys", "camera-1")

    def ask(**settings: Any) -> Series:
        chosen = Settings(engine="echo", api_keys=tmp_path / "keys", **settings)
        ring = KeyRing.load(tmp_path / "keys")
        with LiveServer(lambda: load_model(bundles("v2"), chosen), chosen, ring) as server:
            server.client.headers["authorization"] = f"Bearer {key}"
            server.chat("hello", max_tokens=3)
            server.client.get("/v1/models/other")
            httpx.get(f"{server.url}/v1/models", headers={"authorization": "Bearer camera-2"}, timeout=60)
            until(
                lambda: server.metrics()['edgevlm_http_requests_total{route="/v1/models",status="401"}'], "the last"
            )
            return server.metrics()

    yield ask


@pytest.mark.slow
def test_clients_are_counted_where_that_is_asked_for(keyed: Callable[..., Series]) -> None:
    found = keyed(metrics_clients=True)
    assert found['edgevlm_client_requests_total{client="camera-1",outcome="ok"}'] == 1
    assert found['edgevlm_client_requests_total{client="camera-1",outcome="refused"}'] == 1
    assert found['edgevlm_client_generation_tokens_total{client="camera-1"}'] == 3
    assert found['edgevlm_client_last_request_timestamp_seconds{client="camera-1"}'] > 1e9
    assert not any("camera-2" in name for name in found), "what was sent as a key is no name"


@pytest.mark.slow
def test_clients_have_no_series_otherwise(keyed: Callable[..., Series]) -> None:
    assert not any("client=" in name for name in keyed())


def test_there_are_never_more_clients_than_that() -> None:
    made = Families()
    read = RequestMetrics(made, clients=True)
    for number in range(MOST_CLIENTS + 20):
        read(RequestRecord(id="1", method="GET", path="/", address=None, client=f"key-{number}", status=200))
    [family] = [one for one in made.registry.collect() if one.name == "edgevlm_client_prompt_tokens"]
    assert len(family.samples) == MOST_CLIENTS + 1
