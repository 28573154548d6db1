"""What refused bodies leave behind: nothing that waits for the garbage collector."""

import gc
import json
import tracemalloc
from collections.abc import Iterator

import pytest

from tests.live import LiveServer
from tests.server.engines import until
from tests.server.http.refusing import post

SIZE = 2_000_000


def chat(*urls: str, **fields: object) -> bytes:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return json.dumps({"messages": [{"role": "user", "content": parts}], **fields}, ensure_ascii=False).encode()


BODIES = {
    "a picture with an emoji": chat("data:image/png;base64,\U0001f600" + "A" * SIZE),
    "no picture": chat("data:image/png;base64," + "A" * SIZE),
    "no base64": chat("data:image/png;base64,!" + "A" * SIZE),
    "the second of two": chat("data:image/png;base64,!" + "A" * SIZE, "data:image/png;base64,!" + "B" * SIZE),
    "an unknown field": chat("", unknown="A" * SIZE),
    "no JSON": b'{"a": "' + b"A" * SIZE,
    "too long a name": chat("", **{"A" * SIZE: 1}),
    "a long text": json.dumps({"messages": [{"role": "user", "content": "A" * SIZE}]}).encode(),
}


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    tracemalloc.start()
    yield
    tracemalloc.stop()
    gc.enable()


@pytest.mark.slow
@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("name", BODIES)
def test_a_refused_body_is_gone_with_its_answer(echo_server: LiveServer, name: str) -> None:
    assert post(echo_server, BODIES[name]).status_code == 400
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(4):
        assert post(echo_server, BODIES[name]).status_code == 400
    # the answer may be here a moment before the server has let go of what it answers
    until(lambda: tracemalloc.get_traced_memory()[0] - before < 2 * SIZE, "the bodies to be freed")
