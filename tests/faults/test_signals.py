"""SIGTERM at the worst moments: with every place taken, and while a picture is being decoded."""

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.commands.serve_process import chat, ready, scripted, series, started
from tests.pictures import image_part, text_part, user
from tests.processes import children
from tests.server.engines import until
from tests.server.images.image_files import data_url, jpeg_with_scans

pytestmark = pytest.mark.slow

Bundles = Callable[[str], Path]

HELD = """
    class Held(SlowEngine):
        first = True
        def prefill(self, *given):
            if self.first:
                self.first = False
                time.sleep(1)
            return super().prefill(*given)
    engine = Held(bundle, slots=2, seconds=0.005)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_with_every_place_taken_answers_everyone(bundles: Bundles, number: signal.Signals) -> None:
    with started(scripted(HELD, bundles("v2"), max_queue=6)) as process, ThreadPoolExecutor(8) as pool:
        url = process.url()
        ready(url)
        asked = [pool.submit(chat, url, f"place {index}") for index in range(8)]
        until(lambda: series(url, "edgevlm_requests_accepted_total") == 8, "every place to be taken")
        process.process.send_signal(number)
        for index, one in enumerate(asked):
            reply = one.result()
            if reply.status_code == 200:
                assert reply.json()["choices"][0]["message"]["content"].endswith(f"place {index} ASSISTANT:")
            else:
                assert (reply.status_code, reply.json()["error"]["code"]) == (503, "shutting_down")
        assert process.wait() == 0
    assert "Traceback" not in process.log


def test_a_signal_while_a_picture_decodes_is_no_crash(bundles: Bundles) -> None:
    """The picture is made to cost seconds, as far as the limits let one."""
    slow_picture = data_url(jpeg_with_scans(2048, 2048, extra=40))
    body = {"messages": user(image_part(slow_picture), text_part())}
    engine = "engine = SlowEngine(bundle, slots=2)"
    with started(scripted(engine, bundles("v2"), drain_timeout=0.3)) as process, ThreadPoolExecutor(1) as pool:
        url = process.url()
        ready(url)
        asked = pool.submit(httpx.post, f"{url}/v1/chat/completions", json=body, timeout=30)
        until(lambda: children(process.process.pid), "a worker to start")
        workers = children(process.process.pid)
        process.process.terminate()
        assert asked.result().status_code in (200, 503)
        assert process.wait() == 0
        until(lambda: not workers & children(1), "workers that were left to end")
    assert "Traceback" not in process.log
