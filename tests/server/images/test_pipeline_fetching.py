"""Addresses of pictures in requests to a server: off unless hosts are listed, and never in the way of others."""

import base64
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from edgevlm_server.images.hosts import ImageHosts

from tests.live import LiveServer
from tests.pictures import data_url, image_part, text_part, user
from tests.server.engines import until
from tests.server.images.picture_hosts import PictureHost, answers, redirects, then_waits
from tests.server.observe.test_record import leave_after

PNG = base64.b64decode(data_url().partition(",")[2])


@pytest.fixture(scope="module")
def host() -> Iterator[PictureHost]:
    with PictureHost(answers(PNG)) as made:
        yield made


@pytest.fixture(scope="module")
def server(bundles: Callable[[str], Path], host: PictureHost) -> Iterator[LiveServer]:
    """May fetch from one port of this machine, by address and by name."""
    hosts = ImageHosts.parse(f"127.0.0.1:{host.port},localhost:{host.port}")
    with LiveServer.on_bundle(bundles("v2"), engine="echo", image_hosts=hosts) as made:
        yield made


def ask(server: LiveServer, *parts: dict[str, Any]) -> httpx.Response:
    body = {"messages": user(*parts, text_part("Q")), "max_tokens": 4}
    return server.client.post("/v1/chat/completions", json=body)


def code(response: httpx.Response) -> str:
    assert response.status_code == 400, response.text
    error: dict[str, str] = response.json()["error"]
    assert error["param"] == "messages.0.content.0"
    return error["code"]


@pytest.mark.slow
def test_a_fetched_picture_is_answered_as_a_sent_one(server: LiveServer, host: PictureHost) -> None:
    before = server.metrics()
    fetched = ask(server, image_part(host.url()))
    sent = ask(server, image_part())
    assert fetched.status_code == sent.status_code == 200
    assert fetched.json()["choices"] == sent.json()["choices"]
    after = server.metrics()
    assert after["edgevlm_mm_cache_hits_total"] == before["edgevlm_mm_cache_hits_total"] + 1
    for name in ('edgevlm_image_fetches_total{outcome="ok"}', "edgevlm_image_fetch_seconds_count"):
        assert after[name] == before.get(name, 0) + 1


def test_a_name_is_looked_up_by_the_system(server: LiveServer, host: PictureHost) -> None:
    assert ask(server, image_part(f" {host.url(host='localhost')}\n")).status_code == 200


def test_several_are_fetched_in_order_beside_sent_ones(server: LiveServer, host: PictureHost) -> None:
    seen = len(host.requests)
    parts = [image_part(host.url("/1")), image_part(), image_part(host.url("/2"))]
    assert ask(server, *parts).status_code == 200
    assert [request.split()[1] for request in host.requests[seen:]] == [b"/1", b"/2"]


def test_each_request_fetches_anew(server: LiveServer, host: PictureHost) -> None:
    """A camera gives another picture at the same address."""
    connections = host.connections
    for _ in range(2):
        assert ask(server, image_part(host.url())).status_code == 200
    assert host.connections == connections + 2


def test_links_in_texts_are_not_followed(server: LiveServer, host: PictureHost) -> None:
    connections = host.connections
    assert (
        server.chat(f"![part]({host.url()}) <img src='{host.url()}'> {host.url()}", max_tokens=4).status_code == 200
    )
    assert host.connections == connections


def test_without_a_list_nothing_is_fetched(echo_server: LiveServer, host: PictureHost) -> None:
    connections = host.connections
    assert code(ask(echo_server, image_part(host.url()))) == "remote_images_disabled"
    assert host.connections == connections


def test_refusals_by_code_and_in_the_metrics(server: LiveServer) -> None:
    before = server.metrics()
    port = server.service.settings.port
    assert code(ask(server, image_part("http://169.254.169.254/latest"))) == "image_host_not_allowed"
    assert code(ask(server, image_part(f"http://127.0.0.1:{port + 1}/"))) == "image_host_not_allowed"
    after = server.metrics()
    name = 'edgevlm_image_fetches_total{outcome="not_allowed"}'
    assert after[name] == before[name] + 2
    assert {f'edgevlm_image_fetches_total{{outcome="{o}"}}' for o in ("failed", "timeout", "too_large")} <= set(after)


@pytest.mark.slow
def test_what_is_fetched_meets_every_limit_of_what_is_sent(bundles: Callable[[str], Path]) -> None:
    cases = {
        answers(b"%PDF-1.7", content_type="image/png"): "image_unsupported",
        answers(PNG[:-30]): "image_invalid",
        answers(b""): "image_unsupported",
        redirects(302, "http://127.0.0.1/"): "image_fetch_failed",
        then_waits(b"HTTP/1.1 200 OK\r\ncontent-length: 8000000\r\n\r\n"): "image_too_large",
    }
    for behaviour, expected in cases.items():
        with PictureHost(behaviour) as bad:
            hosts = ImageHosts.parse(f"127.0.0.1:{bad.port}")
            with LiveServer.on_bundle(bundles("v2"), engine="echo", image_hosts=hosts) as server:
                assert code(ask(server, image_part(bad.url()))) == expected
                assert server.chat("still there?", max_tokens=4).status_code == 200


@pytest.mark.slow
def test_a_silent_host_holds_up_nobody_else(bundles: Callable[[str], Path]) -> None:
    with PictureHost(then_waits(b"")) as silent:
        hosts = ImageHosts.parse(f"127.0.0.1:{silent.port}")
        with LiveServer.on_bundle(bundles("v2"), engine="echo", image_hosts=hosts) as server:
            leave = threading.Event()
            body = {"messages": user(image_part(silent.url()), text_part())}
            waiting = [threading.Thread(target=leave_after, args=(server, body, leave.is_set)) for _ in range(3)]
            for thread in waiting:
                thread.start()
            until(lambda: server.service.admission.inside == 3, "all three to be inside")
            until(lambda: silent.connections == 2, "the fetches to begin")  # as many as one host gets at once
            assert server.client.get("/health").status_code == 200
            assert ask(server, image_part()).status_code == 200
            # and who leaves ends the fetch
            leave.set()
            for thread in waiting:
                thread.join(60)
            until(lambda: not any(t.is_alive() for t in silent.threads), "the connections to be closed")
            until(lambda: server.service.admission.inside == 0, "the requests to end")
            assert server.metrics()['edgevlm_image_fetches_total{outcome="cancelled"}'] == 3
