"""`edgevlm serve` around engines that fail or hang: who is told, how the process ends, with which exit code."""

import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.commands.serve_process import chat, ready, running, scripted, series, started, swallow
from tests.pictures import image_part, text_part, user
from tests.server.engines import until

pytestmark = pytest.mark.slow

Bundles = Callable[[str], Path]


HANGING = """
    class Hanging(SlowEngine):
        def decode(self, tokens, lengths):
            time.sleep(600)
    engine = Hanging(bundle, slots=2)
"""


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(bundles: Bundles, second: signal.Signals) -> None:
    """Even with an engine that would need minutes."""
    with started(scripted(HANGING, bundles("v2"), drain_timeout=60)) as process:
        url = process.url()
        ready(url)
        asked = Thread(target=swallow, args=[url])
        asked.start()
        until(lambda: running(url) == 1, "the request to run")
        process.process.send_signal(signal.SIGTERM)
        until(lambda: "draining" in process.log, "the drain to begin")
        process.process.send_signal(second)
        assert process.wait() == 128 + second
        asked.join()


def test_an_engine_that_hangs_does_not_keep_the_process_from_ending(bundles: Bundles) -> None:
    with started(scripted(HANGING, bundles("v2"), drain_timeout=0.2)) as process:
        url = process.url()
        ready(url)
        answers: list[int] = []
        asked = Thread(target=lambda: answers.append(chat(url).status_code))
        asked.start()
        until(lambda: running(url) == 1, "the request to run")
        process.process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
        asked.join()
        assert answers == [503]


def test_an_engine_that_hangs_is_found_out_and_the_process_restarted(bundles: Bundles) -> None:
    with started(scripted(HANGING, bundles("v2"), engine_timeout=1)) as process:
        url = process.url()
        ready(url)
        reply = chat(url)
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "engine_unavailable")
        assert process.wait() == 70


def test_a_vision_encoder_that_fails_is_a_dead_engine(bundles: Bundles) -> None:
    broken = """
    class Blind(SlowEngine):
        def encode_images(self, pixels):
            raise RuntimeError("injected: no vision")
    engine = Blind(bundle, slots=2)
"""
    with started(scripted(broken, bundles("v2"))) as process:
        url = process.url()
        ready(url)
        reply = ask_about_a_picture(url)
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "engine_unavailable")
        assert process.wait() == 70


def ask_about_a_picture(url: str) -> httpx.Response:
    body = {"messages": user(image_part(), text_part())}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30)


@pytest.mark.parametrize(
    ("ended_by", "status", "code"),
    [("the watchdog", 70, "engine_unavailable"), ("a signal", 0, "shutting_down")],
)
def test_a_vision_encoder_that_hangs_leaves_nobody_without_an_answer(
    bundles: Bundles, ended_by: str, status: int, code: str
) -> None:
    """Neither the one whose picture is encoded, nor who waits for the same one, nor who is still sending."""
    limits = {"engine_timeout": 15.0} if ended_by == "the watchdog" else {"drain_timeout": 0.2}
    hanging = "engine = HangingSight(bundle, slots=2)"
    with started(scripted(hanging, bundles("v2"), **limits)) as process, ThreadPoolExecutor(2) as pool:
        url = process.url()
        ready(url)
        asked = [pool.submit(ask_about_a_picture, url) for _ in range(2)]
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 30) as unfinished:
            head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            unfinished.sendall(head + b"content-length: 1000\r\n\r\n{")
            until(lambda: series(url, "edgevlm_mm_cache_queries_total") == 2, "both to wait")
            if ended_by == "a signal":
                process.process.send_signal(signal.SIGTERM)
            for one in asked:
                reply = one.result()
                assert (reply.status_code, reply.json()["error"]["code"]) == (503, code)
            assert unfinished.recv(4096).startswith(b"HTTP/1.1 503 ")
        assert process.wait() == status
    assert "Traceback" not in process.log


def test_a_dead_engine_ends_the_process_with_a_code_that_restarts_it(bundles: Bundles) -> None:
    with started(scripted("engine = FailingEngine(bundle, slots=2, fail_at=4)", bundles("v2"))) as process:
        url = process.url()
        ready(url)
        assert chat(url).status_code == 503
        assert process.wait() == 70
    assert "injected: the device is lost" in process.log


def test_a_signal_just_after_a_death_changes_nothing(bundles: Bundles) -> None:
    with started(scripted(HANGING, bundles("v2"), engine_timeout=1)) as process:
        url = process.url()
        ready(url)
        assert chat(url).status_code == 503
        process.process.send_signal(signal.SIGTERM)
        assert process.wait() == 70
