"""Several pictures of one request: the next is decoded while one is encoded, and no more than that."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.live import LiveServer
from tests.pictures import data_url, image_part, text_part, user
from tests.server.engines import HangingSight, until

Bundles = Callable[[str], Path]

DECODED = "edgevlm_image_decode_seconds_count"


def test_the_next_picture_is_decoded_while_one_is_encoded(bundles: Bundles) -> None:
    engine = HangingSight(bundles("v2"), slots=1)
    with LiveServer.on_engine(bundles("v2"), engine) as server, ThreadPoolExecutor(1) as pool:
        pictures = [image_part(data_url((9 * n, n, n))) for n in range(3)]
        body = {"messages": user(*pictures, text_part("Q")), "max_tokens": 20}
        asked = pool.submit(server.client.post, "/v1/chat/completions", json=body)
        until(lambda: server.metrics()[DECODED] == 2, "the second picture to be decoded")
        time.sleep(0.2)
        assert (engine.began, server.metrics()[DECODED]) == (1, 2)
        engine.let_go.set()
        together = asked.result().json()["choices"][0]["message"]["content"]
        assert server.metrics()[DECODED] == 3
    # the echo engine repeats a token for each picture, so their order shows
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        alone = server.client.post("/v1/chat/completions", json=body).json()["choices"][0]["message"]["content"]
    assert together == alone


def test_the_first_mistake_is_named_and_the_others_end(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        good, bad = image_part(), image_part("data:image/png;base64,AAAA")
        reply = server.client.post("/v1/chat/completions", json={"messages": user(good, bad, good, text_part())})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "image_unsupported")
        assert server.service.admission.inside == 0
