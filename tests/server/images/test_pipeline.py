"""Several pictures of one request: the next is decoded while one is encoded, and no more than that."""

import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from edgevlm_engines import Floats
from edgevlm_server.images.decode import decoder

from tests.live import LiveServer
from tests.pictures import data_url, image_part, text_part, user
from tests.server.engines import HangingSight, until
from tests.server.images.image_workers import workers

Bundles = Callable[[str], Path]

DECODED = "edgevlm_image_decode_seconds_count"


@pytest.mark.slow
def test_the_next_picture_is_decoded_while_one_is_encoded(bundles: Bundles) -> None:
    engine = HangingSight(bundles("v2"), slots=1)
    with LiveServer.on_engine(bundles("v2"), engine) as server, ThreadPoolExecutor(1) as pool:
        pictures = [image_part(data_url((9 * n, n, n))) for n in range(3)]
        body = {"messages": user(*pictures, text_part("Q")), "max_tokens": 20}
        asked = pool.submit(server.client.post, "/v1/chat/completions", json=body)
        until(lambda: server.metrics()[DECODED] == 2, "the second picture to be decoded")
        until(lambda: engine.began == 1, "the first to be encoded")
        time.sleep(0.2)
        assert (engine.began, server.metrics()[DECODED]) == (1, 2)
        engine.let_go.set()
        together = asked.result().json()["choices"][0]["message"]["content"]
        assert server.metrics()[DECODED] == 3
    # the echo engine repeats a token for each picture, so their order shows
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        alone = server.client.post("/v1/chat/completions", json=body).json()["choices"][0]["message"]["content"]
    assert together == alone


@pytest.mark.slow
def test_the_first_mistake_is_named_and_the_others_end(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        good, bad = image_part(), image_part("data:image/png;base64,AAAA")
        reply = server.client.post("/v1/chat/completions", json={"messages": user(good, bad, good, text_part())})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "image_unsupported")
        until(lambda: server.service.admission.inside == 0, "the places to be given back")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_machine_that_is_too_busy_is_no_fault_of_the_picture(
    bundles: Bundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is stopped stands for a machine that does not come to it."""
    others = set(workers())
    with LiveServer.on_bundle(bundles("v2"), engine="echo", image_timeout=5.0) as server:

        def ask(shade: int) -> httpx.Response:
            body = {"messages": user(image_part(data_url((shade, 0, 0))), text_part())}
            return server.client.post("/v1/chat/completions", json=body)

        assert ask(1).status_code == 200
        [worker] = set(workers()) - others
        os.kill(worker, signal.SIGSTOP)
        with monkeypatch.context() as patch:
            patch.setattr(decoder, "_PATIENCE", 0.2)
            refused = ask(2)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "image_decoder_busy")
        assert int(refused.headers["retry-after"]) > 0
        assert ask(2).status_code == 200


@pytest.mark.slow
def test_the_pictures_of_one_request_do_not_stand_in_front_of_another_ones(bundles: Bundles) -> None:
    order: list[int] = []

    class Watched(HangingSight):
        def encode_images(self, pixels: Floats) -> Floats:
            order.append(round(float(pixels[0, 0, 0, 0]) * 100))
            return super().encode_images(pixels)

    def ask(*shades: int) -> list[dict[str, Any]]:
        return user(*(image_part(data_url((shade, shade, shade), (40, 40))) for shade in shades), text_part("Q"))

    engine = Watched(bundles("v2"), slots=2)
    with LiveServer.on_engine(bundles("v2"), engine) as server, ThreadPoolExecutor(2) as pool:

        def post(*shades: int) -> Future[httpx.Response]:
            body = {"messages": ask(*shades), "max_tokens": 4}
            return pool.submit(server.client.post, "/v1/chat/completions", json=body)

        many = post(10, 20, 30)
        until(lambda: server.metrics()[DECODED] == 2, "the second picture to be decoded")
        single = post(250)
        until(lambda: server.metrics()[DECODED] == 3, "the other request's picture to be decoded")
        engine.let_go.set()
        assert single.result().status_code == many.result().status_code == 200
    assert order[1] == max(order), "the other request's picture, the brightest, comes second"


@pytest.mark.slow
def test_whoever_waits_for_the_same_broken_picture_gets_an_error_that_names_its_own_place(bundles: Bundles) -> None:
    bad = image_part("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ")
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server, ThreadPoolExecutor(8) as pool:
        first = {"messages": user(bad, text_part())}
        third = {"messages": [*user(text_part()), {"role": "assistant", "content": "Yes."}, *user(bad, text_part())]}
        asked = [pool.submit(server.client.post, "/v1/chat/completions", json=body) for body in (first, third) * 4]
        errors = [one.result().json()["error"] for one in asked]
    assert {error["code"] for error in errors} == {"image_invalid"}
    assert [error["param"] for error in errors] == ["messages.0.content.0", "messages.2.content.0"] * 4
