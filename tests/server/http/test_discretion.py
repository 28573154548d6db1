"""What a server keeps to itself: it connects to nothing, repeats no value, and keeps nothing if told so."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings

from tests.docs.pages import read, section
from tests.live import LiveServer
from tests.pictures import image_part, text_part, user
from tests.server.engines import until

SECRET = "zq7secret"


@pytest.fixture(scope="module")
def locked(
    bundles: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LiveServer, str]]:
    """A server with one client, and its key."""
    file = tmp_path_factory.mktemp("keys") / "keys"
    key = add_key(file, "camera-1")
    settings = Settings(engine="echo")
    with LiveServer(lambda: load_model(bundles("v2"), settings), settings, KeyRing.load(file)) as server:
        yield server, key


class Connections:
    """What this process connects to and looks up while `watching`; audit hooks cannot be removed."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.watching = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.watching and event in ("socket.connect", "socket.getaddrinfo"):
            self.seen.append(arguments[1] if event == "socket.connect" else arguments[0])


@pytest.mark.slow
def test_no_connection_is_opened_without_a_list(bundles: Callable[[str], Path]) -> None:
    connections = Connections()
    connections.watching = True
    try:
        with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
            assert server.chat(user(image_part(), text_part("see http://192.0.2.1/a.jpg"))[0]["content"]).is_success
            assert server.chat(user(image_part("http://192.0.2.1/a.jpg"))[0]["content"]).status_code == 400
            own = {("127.0.0.1", server.port), "127.0.0.1"}
    finally:
        connections.watching = False
    assert connections.seen and set(connections.seen) <= own


def test_values_are_neither_answered_nor_logged(
    locked: tuple[LiveServer, str], caplog: pytest.LogCaptureFixture
) -> None:
    server, key = locked
    caplog.set_level(logging.DEBUG)
    said = {"role": "user", "content": f"say {SECRET}"}
    picture = user(text_part(), {**image_part(), "uuid": SECRET})
    bodies: list[dict[str, Any]] = [
        {"messages": [said]},
        {"messages": picture},
        {"messages": [said], "user": SECRET, "stop": SECRET},
        {"messages": [said], "model": SECRET},
        {"messages": [said], "temperature": SECRET},
        {"messages": [said], "unheard_of": SECRET},
        {"messages": user(image_part(f"data:image/png;base64,{SECRET}"))},
        {"messages": user(image_part(f"http://{SECRET}.example/a.png"))},
        {"messages": user({"type": "image_url", "uuid": f"{SECRET}-unknown"})},
    ]
    headers = {"authorization": f"Bearer {key}"}
    answers = [server.client.post("/v1/chat/completions", json=body, headers=headers) for body in bodies]
    assert [answer.status_code for answer in answers] == [200] * 3 + [404] + [400] * 4 + [404]
    for answer in answers[3:]:
        assert SECRET not in answer.text
    # a request's line is written behind its answer
    until(lambda: len(_lines(caplog)) >= len(bodies), "the lines")
    assert not [line for line in _lines(caplog) if SECRET in line]


def _lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the product has logged."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("edgevlm")]


@pytest.mark.slow
def test_caches_can_be_turned_off(bundles: Callable[[str], Path]) -> None:
    text = section(read("SECURITY.md"), "What it does not do")
    assert "`--image-cache 0 --prefix-cache 0`" in text
    content = user(image_part(), text_part("a long question about it " * 8))[0]["content"]
    with LiveServer.on_bundle(bundles("v2"), engine="echo", image_cache=0, prefix_cache=0) as server:
        usages = [server.chat(content).json()["usage"] for _ in range(2)]
        hits = server.metrics()["edgevlm_mm_cache_hits_total"]
    assert [usage["prompt_tokens_details"]["cached_tokens"] for usage in usages] == [0, 0]
    assert hits == 0
