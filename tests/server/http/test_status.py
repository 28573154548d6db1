"""`/status`: what an operator sees at a glance, whatever state the server is in, and nothing of what was asked."""

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from edgevlm_server.device.device import Device
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.model import load_model
from edgevlm_server.observe.recent import MOST_REQUESTS, WINDOW, Rate
from edgevlm_server.settings import Settings
from edgevlm_server.version import version

from tests.live import LiveServer
from tests.pictures import image_part, text_part, user
from tests.server.device.trees import ORIN_NANO, machine
from tests.server.engines import SlowEngine, until

Bundles = Callable[[str], Path]


@pytest.mark.slow
def test_a_server_at_rest(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo", max_batch=3, max_queue=5, no_page=True) as server:
        response = server.client.get("/status")
    assert response.status_code == 200
    found = response.json()
    assert (found["state"], found["model"], found["version"]) == ("ready", "v2", version())
    assert (found["slots"], found["queue"]) == ({"used": 0, "limit": 3}, {"used": 0, "limit": 5})
    assert found["tokens_per_second"] == {"last_10_seconds": 0, "last_minute": 0}
    assert set(found["last_minute"].values()) == {0}
    assert found["image_cache_bytes"] == {"used": 0, "limit": 64 * 2**20}
    assert found["device"] is None
    assert found["last_requests"] == []
    assert abs(found["time"] - time.time()) < 60
    assert 0 <= found["uptime_seconds"] < 60


@pytest.mark.slow
def test_who_runs_and_who_waits(bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=1, seconds=0.05)
    with LiveServer.on_engine(bundles("v2"), engine, max_queue=4) as server, ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(server.chat, "hello", max_tokens=300, ignore_eos=True) for _ in range(3)]
        until(lambda: server.client.get("/status").json()["queue"] == {"used": 2, "limit": 4}, "two to wait")
        assert server.client.get("/status").json()["slots"] == {"used": 1, "limit": 1}
        until(lambda: server.client.get("/status").json()["tokens_per_second"]["last_minute"] > 0, "a second to pass")
        engine.seconds = 0
        assert [one.result().status_code for one in answers] == [200] * 3
        until(lambda: server.client.get("/status").json()["slots"]["used"] == 0, "all to be through")


@pytest.mark.slow
def test_a_crowd_does_not_hide_the_last_requests(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo", max_connections=1) as server:
        server.chat("hello", max_tokens=1)
        for _ in range(MOST_REQUESTS + 1):
            with socket.create_connection(server.address, timeout=20) as refused:
                assert b"too_many_connections" in refused.makefile("rb").read()
        until(lambda: "state" in server.client.get("/status").json(), "a place for a connection")
        [only] = server.client.get("/status").json()["last_requests"]
    assert only["route"] == "/v1/chat/completions"


@pytest.mark.slow
def test_the_last_requests_without_what_was_asked(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        body = {"messages": user(image_part(), text_part("A secret question")), "max_tokens": 3}
        server.client.post("/v1/chat/completions", json=body, headers={"x-request-id": "frame-7"})
        server.client.post("/v1/chat/completions", json={"messages": 7})
        server.client.get("/v1/models")
        server.client.get("/nothing")
        until(lambda: len(server.client.get("/status").json()["last_requests"]) == 3, "three records")
        response = server.client.get("/status")
    newest, refused, answered = response.json()["last_requests"]
    assert (newest["route"], newest["status"], newest["code"]) == (None, 404, "not_found")
    assert (refused["route"], refused["status"]) == ("/v1/chat/completions", 400)
    assert refused["outcome"] == "refused"
    assert (answered["id"], answered["outcome"], answered["code"]) == ("frame-7", "ok", None)
    assert (answered["pictures"], answered["tokens"], answered["client"]) == (1, 3, None)
    stages = [one["stage"] for one in answered["stages"]]
    assert stages == ["body", "prepare", "pictures", "queue", "prefill", "decode", "send"]
    assert sum(one["seconds"] for one in answered["stages"]) <= answered["seconds"] + 0.001
    assert "secret" not in response.text
    assert "/nothing" not in response.text


@pytest.mark.slow
def test_only_so_many_are_remembered(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        for number in range(MOST_REQUESTS + 3):
            server.client.post("/tokenize", json={"prompt": "x"}, headers={"x-request-id": f"n{number}"})
        newest = f"n{MOST_REQUESTS + 2}"
        until(lambda: server.client.get("/status").json()["last_requests"][0]["id"] == newest, "the last record")
        ids = [one["id"] for one in server.client.get("/status").json()["last_requests"]]
    assert ids == [f"n{number}" for number in range(MOST_REQUESTS + 2, 2, -1)]


@pytest.mark.slow
def test_it_needs_a_key_where_others_do_and_names_clients(bundles: Bundles, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys", "camera-1")
    settings = Settings(engine="echo")
    with LiveServer(lambda: load_model(bundles("v2"), settings), settings, KeyRing.load(tmp_path / "keys")) as server:
        refused = server.client.get("/status")
        assert (refused.status_code, refused.json()["error"]["type"]) == (401, "authentication_error")
        server.client.headers["authorization"] = f"Bearer {key}"
        server.chat("hello", max_tokens=1)
        until(lambda: len(server.client.get("/status").json()["last_requests"]) == 2, "both records")
        found = server.client.get("/status").json()["last_requests"]
    assert [(one["client"], one["status"]) for one in found] == [("camera-1", 200), (None, 401)]


@pytest.mark.slow
def test_it_is_answered_while_the_model_loads_and_after_the_engine_died(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        for state in ("loading", "draining", "dead"):
            server.loop.call_soon_threadsafe(server.service._enter, state)
            until(lambda state=state: server.client.get("/status").json()["state"] == state, state)  # type: ignore[misc]


@pytest.mark.slow
def test_the_device_is_told_of(bundles: Bundles, tmp_path: Path) -> None:
    with machine(tmp_path, ORIN_NANO) as root, LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        server.service.device = Device(root)
        told: list[dict[str, Any]] = []

        def answers() -> bool:
            found = server.client.get("/status").json()["device"]
            told.extend([found] if found else [])
            return bool(told)

        until(answers, "the sensors to answer in time")
    found = told[0]
    assert (found["watts"], found["gpu_load"], found["throttling"]) == (12.55872, 0.874, False)
    assert found["temperatures"][0] == {"zone": "cpu-thermal", "celsius": 51.687, "throttles_at": 99.0}
    assert found["memory_total_bytes"] == 7_802_496 * 1024


@pytest.mark.slow
def test_a_sensor_that_hangs_holds_up_nothing_else(bundles: Bundles, tmp_path: Path) -> None:
    with machine(tmp_path, ORIN_NANO) as root, LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        server.service.device = device = Device(root)
        with device._lock:
            found = server.client.get("/status").json()
    assert (found["state"], found["device"]) == ("ready", None)


def test_a_rate_forgets_what_is_long_ago() -> None:
    rate = Rate()
    for second in range(100):
        rate.add(2, second + 0.5)
    assert rate.total(10, 100.0) == 20
    assert rate.total(WINDOW, 100.0) == 2 * WINDOW
    assert rate.total(10, 99.9) == 20, "the second that is not over does not count"
    assert rate.total(10, 105.0) == 10
    assert rate.total(WINDOW, 1000.0) == 0
