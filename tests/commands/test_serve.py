"""`edgevlm serve` as a process: what it prints, how it loads, drains and ends, and with which exit code."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import httpx
import pytest
from edgevlm_server.keys import add_key

from tests.pictures import image_part, text_part, user
from tests.server.engines import until

Bundles = Callable[[str], Path]


class Process:
    """A server process, its log so far, and a client for it."""

    def __init__(self, command: list[str | Path], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}, bufsize=1
        )
        self.lines: list[str] = []
        self._reader = Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(self.process.stderr)

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def url(self) -> str:
        pattern = re.compile(r"Listening on (http://\S+?);")
        until(lambda: pattern.search(self.log) or self.process.poll() is not None, "the address")
        found = pattern.search(self.log)
        assert found, self.log
        return found[1]

    def wait(self, seconds: float = 60) -> int:
        code = self.process.wait(seconds)
        self._reader.join()
        return code

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


@contextmanager
def started(command: list[str | Path], **environment: str) -> Iterator[Process]:
    process = Process(command, environment)
    try:
        yield process
    finally:
        process.stop()


def serve(*arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "edgevlm", "serve", "--port", "0", *arguments]


def scripted(body: str, bundle: Path, **settings: float) -> list[str | Path]:
    """The product's `serve` function around an engine of the test's own."""
    chosen = {"drain_timeout": 10, **settings}
    code = f"""
import sys, time
from pathlib import Path
from edgevlm_engines import open_bundle
from edgevlm_server.model import Model
from edgevlm_server.run import serve
from edgevlm_server.settings import Settings
from edgevlm_server.text.tokenizer import Tokenizer
from edgevlm.cli import configure_log
from tests.server.engines import FailingEngine, HangingSight, SlowEngine
bundle = Path({str(bundle)!r})
configure_log("info")
def load():
    opened = open_bundle(bundle)
    {body}
    return Model(opened.manifest, Tokenizer(opened.path("tokenizer.model")), engine)
sys.exit(serve(Settings(port=0, max_batch=2, **{chosen}), load))
"""
    return [sys.executable, "-c", code]


def chat(url: str, text: str = "hello", **headers: str) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": text}]}
    return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=30)


def swallow(url: str) -> None:
    """Ask, and expect the connection to break."""
    with suppress(httpx.HTTPError):
        chat(url)


def series(url: str, name: str) -> float:
    text = httpx.get(f"{url}/metrics").text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name))


def running(url: str) -> float:
    return series(url, "edgevlm_num_requests_running")


def ready(url: str) -> None:
    until(lambda: httpx.get(f"{url}/ready").status_code == 200, "the server to be ready")


def test_it_answers_and_ends_cleanly_on_sigterm(bundles: Bundles) -> None:
    with started(serve(bundles("v2"), "--engine", "echo")) as process:
        url = process.url()
        ready(url)
        assert chat(url).json()["choices"][0]["message"]["content"].endswith("hello ASSISTANT:")
        process.process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert "Ready: http://127.0.0.1:" in process.log
    assert f"Try it in a browser: {url}/\n" in process.log
    assert "Traceback" not in process.log
    assert "hello" not in process.log, "what clients send does not belong into the log"


def test_without_the_page_none_is_promised(bundles: Bundles) -> None:
    with started(serve(bundles("v2"), "--engine", "echo", "--no-page")) as process:
        url = process.url()
        ready(url)
        assert httpx.get(url).status_code == 404
    assert "browser" not in process.log


def test_running_requests_end_before_the_process_does(bundles: Bundles) -> None:
    with started(scripted("engine = SlowEngine(bundle, slots=2, seconds=0.02)", bundles("v2"))) as process:
        url = process.url()
        ready(url)
        with httpx.stream(
            "POST",
            f"{url}/v1/chat/completions",
            json={"messages": [{"role": "user", "content": "hello"}], "stream": True},
            timeout=30,
        ) as response:
            lines = response.iter_lines()
            next(lines)
            process.process.send_signal(signal.SIGTERM)
            until(lambda: httpx.get(f"{url}/ready").status_code == 503, "the drain to begin")
            refused = chat(url)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
            assert httpx.get(f"{url}/health").status_code == 200
            rest = list(lines)
        assert rest[-2:] == ["data: [DONE]", ""]
        assert process.wait() == 0


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
    limits = {"engine_timeout": 2.0} if ended_by == "the watchdog" else {"drain_timeout": 0.2}
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
        assert process.wait(30) == status
    assert "Traceback" not in process.log


def test_while_it_loads_it_answers_503(bundles: Bundles) -> None:
    slow_load = "time.sleep(1.5); engine = SlowEngine(bundle, slots=2)"
    with started(scripted(slow_load, bundles("v2"))) as process:
        url = process.url()
        assert httpx.get(f"{url}/health").status_code == 200
        assert httpx.get(f"{url}/ready").json()["error"]["code"] == "model_loading"
        refused = chat(url)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_loading")
        assert int(refused.headers["retry-after"]) >= 1
        ready(url)
        assert chat(url).status_code == 200


def test_a_signal_while_it_loads_ends_it(bundles: Bundles) -> None:
    with started(scripted("time.sleep(300); engine = SlowEngine(bundle, slots=2)", bundles("v2"))) as process:
        process.url()
        process.process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_dead_engine_ends_the_process_with_a_code_that_restarts_it(bundles: Bundles) -> None:
    with started(scripted("engine = FailingEngine(bundle, slots=2, fail_at=4)", bundles("v2"))) as process:
        url = process.url()
        ready(url)
        assert chat(url).status_code == 503
        assert process.wait() == 70
    assert "injected: the device is lost" in process.log


def test_a_damaged_bundle_is_one_sentence_and_a_code_that_does_not_restart(bundles: Bundles, tmp_path: Path) -> None:
    broken = tmp_path / "bundle"
    broken.mkdir()
    for path in bundles("v2").iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "decoder.data").write_bytes((broken / "decoder.data").read_bytes()[:-1])
    with started(serve(broken)) as process:
        assert process.wait() == 78
    assert "decoder.data is damaged" in process.log
    assert "Traceback" not in process.log


def test_a_port_in_use_is_one_sentence(bundles: Bundles) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with started([sys.executable, "-m", "edgevlm", "serve", bundles("v2"), "--port", port]) as process:
            assert process.wait() == 78
    assert "Address already in use" in process.log
    assert "Traceback" not in process.log


def test_a_network_address_without_keys_is_refused(bundles: Bundles) -> None:
    with started(serve(bundles("v2"), "--host", "0.0.0.0")) as process:
        assert process.wait() == 78
    assert "--api-keys FILE" in process.log


def test_keys_and_settings_from_the_environment(bundles: Bundles, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys", "line-4")
    environment = {"EDGEVLM_API_KEYS": str(tmp_path / "keys"), "EDGEVLM_ENGINE": "echo"}
    with started(serve(bundles("v2")), **environment) as process:
        url = process.url()
        ready(url)
        assert chat(url).status_code == 401
        assert chat(url, authorization=f"Bearer {key}").status_code == 200
        until(lambda: "client=line-4" in process.log, "the log line")
    assert key not in process.log


def test_killed_outright_it_starts_again(bundles: Bundles) -> None:
    for _ in range(3):
        with started(serve(bundles("v2"), "--engine", "echo")) as process:
            url = process.url()
            ready(url)
            assert chat(url).status_code == 200


@pytest.mark.parametrize("arguments", [["serve", "--port", "x"], ["serve", "a", "b"], ["nonsense"], []])
def test_wrong_arguments_show_the_usage(arguments: list[str]) -> None:
    result = subprocess.run([sys.executable, "-m", "edgevlm", *arguments], capture_output=True, text=True)
    assert result.returncode == 2
    assert "usage: edgevlm" in result.stderr


def test_the_openapi_description_names_the_chat_request(bundles: Bundles) -> None:
    with started(serve(bundles("v2"), "--engine", "echo")) as process:
        url = process.url()
        ready(url)
        schema = json.loads(httpx.get(f"{url}/openapi.json").text)
    assert "messages" in json.dumps(schema["paths"]["/v1/chat/completions"])
