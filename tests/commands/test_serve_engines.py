"""`edgevlm serve` around engines that fail or hang: who is told, how the process ends, with which exit code."""

import signal
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.commands.serve_process import chat, ready, running, scripted, started, swallow
from tests.pictures import image_part, text_part, user
from tests.server.engines import until

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
        assert process.wait(10) == 128 + second
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
        assert process.wait(30) == 0
        asked.join()
        assert answers == [503]


def test_an_engine_that_hangs_is_found_out_and_the_process_restarted(bundles: Bundles) -> None:
    with started(scripted(HANGING, bundles("v2"), engine_timeout=1)) as process:
        url = process.url()
        ready(url)
        reply = chat(url)
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "engine_unavailable")
        assert process.wait(30) == 70


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
        body = {"messages": user(image_part(), text_part())}
        reply = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30)
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "engine_unavailable")
        assert process.wait() == 70


def test_a_dead_engine_ends_the_process_with_a_code_that_restarts_it(bundles: Bundles) -> None:
    with started(scripted("engine = FailingEngine(bundle, slots=2, fail_at=4)", bundles("v2"))) as process:
        url = process.url()
        ready(url)
        assert chat(url).status_code == 503
        assert process.wait() == 70
    assert "injected: the device is lost" in process.log
