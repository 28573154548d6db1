"""`edgevlm serve` as a process: what it prints, how it loads, drains and ends, and with which exit code."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from edgevlm_server.http.access.key_file import add_key

from tests.commands.serve_process import chat, get, held, ready, scripted, serve, started
from tests.server.engines import until

pytestmark = pytest.mark.slow

Bundles = Callable[[str], Path]


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


def test_clients_see_the_name_that_was_chosen(bundles: Bundles) -> None:
    with started(serve(bundles("v2"), "--engine", "echo", "--name", "line 3")) as process:
        url = process.url()
        ready(url)
        assert get(f"{url}/v1/models").json()["data"][0]["id"] == "line 3"
        assert chat(url).json()["model"] == "line 3"


def test_without_the_page_none_is_promised(bundles: Bundles) -> None:
    with started(serve(bundles("v2"), "--engine", "echo", "--no-page")) as process:
        url = process.url()
        ready(url)
        assert get(url).status_code == 404
    assert "browser" not in process.log


def test_running_requests_end_before_the_process_does(bundles: Bundles, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with started(scripted(held(gate), bundles("v2"), drain_timeout=100)) as process:
        url = process.url()
        ready(url)
        with httpx.stream(
            "POST",
            f"{url}/v1/chat/completions",
            json={"messages": [{"role": "user", "content": "hello"}], "stream": True},
            timeout=60,
        ) as response:
            lines = response.iter_lines()
            next(lines)
            process.process.send_signal(signal.SIGTERM)
            until(lambda: get(f"{url}/ready").status_code == 503, "the drain to begin")
            refused = chat(url)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
            assert get(f"{url}/health").status_code == 200
            gate.touch()
            rest = list(lines)
        assert rest[-2:] == ["data: [DONE]", ""]
        assert process.wait() == 0


def test_while_it_loads_it_answers_503(bundles: Bundles, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    slow_load = f"""
    while not Path({str(gate)!r}).exists(): time.sleep(0.01)
    engine = SlowEngine(bundle, slots=2)
"""
    with started(scripted(slow_load, bundles("v2"))) as process:
        url = process.url()
        assert get(f"{url}/health").status_code == 200
        assert get(f"{url}/ready").json()["error"]["code"] == "model_loading"
        refused = chat(url)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_loading")
        assert int(refused.headers["retry-after"]) >= 1
        gate.touch()
        ready(url)
        assert chat(url).status_code == 200


def test_a_signal_while_it_loads_ends_it(bundles: Bundles) -> None:
    with started(scripted("time.sleep(300); engine = SlowEngine(bundle, slots=2)", bundles("v2"))) as process:
        process.url()
        process.process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_a_signal_as_soon_as_it_listens_ends_it() -> None:
    code = """
import logging, os, signal, sys, time
from edgevlm_server.run import log, serve
from edgevlm_server.settings import Settings
class Ending(logging.Handler):
    def emit(self, record):
        if record.msg.startswith("Listening"):
            os.kill(os.getpid(), signal.SIGTERM)
log.addHandler(Ending())
log.setLevel("INFO")
sys.exit(serve(Settings(port=0), lambda: time.sleep(300)))
"""
    with started([sys.executable, "-c", code]) as process:
        assert process.wait() == 0


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
    assert f"port {port}" in process.log and "--port" in process.log
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


def test_the_openapi_description_names_the_chat_request(bundles: Bundles) -> None:
    with started(serve(bundles("v2"), "--engine", "echo")) as process:
        url = process.url()
        ready(url)
        schema = json.loads(get(f"{url}/openapi.json").text)
    assert "messages" in json.dumps(schema["paths"]["/v1/chat/completions"])


def test_what_is_loaded_is_kept_out_of_garbage_collection(bundles: Bundles) -> None:
    told = 'import atexit, gc; atexit.register(lambda: print("frozen:", gc.get_freeze_count(), file=sys.stderr))'
    with started(scripted(f"{told}; engine = SlowEngine(bundle, slots=2)", bundles("v2"))) as process:
        ready(process.url())
        process.process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    [frozen] = re.findall(r"frozen: (\d+)", process.log)
    assert int(frozen) > 10_000


def test_a_log_that_nobody_reads_keeps_it_from_nothing(bundles: Bundles) -> None:
    reader, writer = os.pipe()
    with subprocess.Popen(serve(bundles("v2"), "--engine", "echo"), stderr=writer) as process:
        try:
            # the last that is read of it
            url = ready_at(reader)
            fill(writer)
            assert get(f"{url}/health").status_code == 200
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()
            os.close(reader)
            os.close(writer)


def ready_at(log: int) -> str:
    said = b""
    while (found := re.search(rb"Ready: (http://[\d.:]+)/v1", said)) is None:
        piece = os.read(log, 4096)
        assert piece, said.decode()
        said += piece
    return found[1].decode()


def fill(pipe: int) -> None:
    """To the last byte, by an opening of its own: whoever else writes into it waits."""
    own = os.open(f"/proc/self/fd/{pipe}", os.O_WRONLY | os.O_NONBLOCK)
    try:
        for size in (4096, 1):
            with suppress(BlockingIOError):
                while True:
                    os.write(own, b"." * size)
    finally:
        os.close(own)
