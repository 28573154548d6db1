"""What an operator sees of `edgevlm serve` as a process: the listener for metrics, and lines as JSON."""

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from edgevlm_server.http.access.key_file import add_key

from tests.commands.serve_process import Process, chat, get, held, ready, scripted, serve, started
from tests.server.engines import until

pytestmark = pytest.mark.slow

Bundles = Callable[[str], Path]


def metrics_url(process: Process) -> str:
    found = re.search(r"Metrics: (http://\S+)/metrics", process.log)
    assert found, process.log
    return found[1]


def test_the_listener_for_metrics_needs_no_key_and_has_nothing_else(bundles: Bundles, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys", "camera-1")
    options = ("--engine", "echo", "--api-keys", tmp_path / "keys", "--metrics-port", "0")
    with started(serve(bundles("v2"), *options)) as process:
        url = process.url()
        ready(url)
        beside = metrics_url(process)
        assert chat(url, authorization=f"Bearer {key}").status_code == 200
        assert get(f"{url}/metrics").status_code == 401
        text = get(f"{beside}/metrics").text
        assert "\nedgevlm_requests_accepted_total 1.0\n" in text
        assert '\nedgevlm_http_requests_total{route="/metrics",status="401"} 1.0\n' in text
        assert "camera-1" not in text
        assert float(re.findall(r"\nedgevlm_connections_limit (\S+)", text)[0]) > 0
        until(lambda: "edgevlm_event_loop_lag_seconds_count 0.0" not in get(f"{beside}/metrics").text, "a second")
        assert get(f"{beside}/health").json() == {"status": "ok"}
        assert get(f"{beside}/ready").status_code == 200
        for path in ("/", "/docs", "/openapi.json", "/v1/models", "/version"):
            assert get(beside + path).status_code == 404, path
        assert chat(beside, authorization=f"Bearer {key}").status_code == 404
        # a page on the internet could have its own name lead here
        assert get(f"{beside}/metrics", headers={"host": "evil.example"}).status_code == 403
        process.process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert "Traceback" not in process.log


def test_metrics_can_be_read_while_the_server_drains(bundles: Bundles, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with started(scripted(held(gate), bundles("v2"), metrics_port=0, drain_timeout=100)) as process:
        url = process.url()
        ready(url)
        beside = metrics_url(process)
        asked = {"messages": [{"role": "user", "content": "hello"}], "stream": True, "max_tokens": 200}
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=asked, timeout=60) as response:
            process.process.send_signal(signal.SIGTERM)
            until(lambda: get(f"{beside}/ready").status_code == 503, "the drain to begin")
            assert '\nedgevlm_server_state{state="draining"} 1.0\n' in get(f"{beside}/metrics").text
            gate.touch()
            response.read()
        assert process.wait() == 0


def test_lines_are_json_where_no_terminal_is(bundles: Bundles) -> None:
    with started(serve(bundles("v2"), "--engine", "echo"), EDGEVLM_LOG_FORMAT="") as process:
        url = process.url()
        ready(url)
        chat(url)
        process.process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    entries = [json.loads(line) for line in process.lines]
    assert all(entry["logger"].startswith("edgevlm") for entry in entries)
    assert [entry["route"] for entry in entries if entry["logger"] == "edgevlm.access"] == ["/v1/chat/completions"]


def test_traces_without_a_collector_keep_nobody_waiting(bundles: Bundles) -> None:
    options = ("--engine", "echo", "--otlp-endpoint", "http://127.0.0.1:9/v1/traces")
    with started(serve(bundles("v2"), *options)) as process:
        url = process.url()
        ready(url)
        assert chat(url).status_code == 200
        process.process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert "Traceback" not in process.log


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--metrics-host", "192.0.2.1", "Cannot listen on 192.0.2.1"),
        ("--otlp-endpoint", "collector:4318", "an address such as"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(bundles: Bundles, option: str, value: str, said: str) -> None:
    command = serve(bundles("v2"), "--engine", "echo", "--metrics-port", "0", option, value)
    with started(command) as process:
        assert process.wait() in (2, 78)
    assert said in process.lines[-1]
