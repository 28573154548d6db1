"""The script of `helm test` and the notes' `curl`, run against a real server with the demo model."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings

from tests.chart.cases import KEYS, OPEN
from tests.chart.helm import Helm
from tests.chart.readme import CHART
from tests.live import LiveServer

FILES = CHART / "files"
MODES = ("whole", "stream")


@pytest.fixture(scope="module")
def locked(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveServer, str]]:
    """A server that has keys, and one of them."""
    keys = tmp_path_factory.mktemp("keys") / "keys.txt"
    key = add_key(keys, "test")
    with LiveServer(lambda: load_model(demo_model, Settings()), Settings(), KeyRing.load(keys)) as live:
        yield live, key


def ask(url: str, mode: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(FILES / "ask.py"), url, str(FILES / "picture.jpg"), mode]
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("mode", MODES)
def test_an_answer_comes(demo: LiveServer, mode: str) -> None:
    done = ask(demo.url, mode, ASK_KEYS="no")
    assert (done.returncode, done.stdout) == (0, "What does the display read? 3.7\n"), done.stderr


@pytest.mark.parametrize("mode", MODES)
def test_a_key_opens_and_no_key_is_turned_away(locked: tuple[LiveServer, str], mode: str) -> None:
    server, key = locked
    assert ask(server.url, mode, ASK_KEYS="yes", ASK_KEY=key).stdout.endswith("3.7\n")
    without = ask(server.url, mode, ASK_KEYS="yes")
    assert without.returncode == 0 and without.stdout.startswith("Turned away without a key")
    assert ask(server.url, mode, ASK_KEYS="no").returncode == 1
    wrong = ask(server.url, mode, ASK_KEYS="yes", ASK_KEY="sk-wrong")
    assert wrong.returncode == 1 and wrong.stdout.startswith("HTTP 401: ")


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_forgot_its_keys_fails(demo: LiveServer, mode: str) -> None:
    done = ask(demo.url, mode, ASK_KEYS="yes")
    assert (done.returncode, done.stdout) == (1, "The server answered without a key, though it has keys.\n")


EVENT = 'data: {"choices": [{"delta": {"content": "3"}, "finish_reason": %s}]}\n\n'
BROKEN = {
    "no last event": ("stream", "text/event-stream", EVENT % '"stop"'),
    "no reason to end": ("stream", "text/event-stream", EVENT % "null" + "data: [DONE]\n\n"),
    "an error in the stream": (
        "stream",
        "text/event-stream",
        'data: {"error": {"message": "x"}}\n\ndata: [DONE]\n\n',
    ),
    "nothing in the stream": ("stream", "text/event-stream", ""),
    "a stream in one piece": ("stream", "application/json", "{}"),
    "no text": ("whole", "application/json", '{"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}'),
    "no choices": ("whole", "application/json", '{"error": {"message": "x"}}'),
    "no JSON": ("whole", "text/html", "<h1>It works!</h1>"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_answer_that_is_not_whole_fails(case: str) -> None:
    mode, content_type, body = BROKEN[case]
    with stand_in(content_type, body.encode()) as url:
        done = ask(url, mode, ASK_KEYS="no")
    assert done.returncode == 1 and done.stdout.startswith("The answer is not one: ")


@contextmanager
def stand_in(content_type: str, body: bytes) -> Iterator[str]:
    """In place of a server: it answers everything with the same bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", content_type)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Not into the tests' output."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_notes_curl_can_be_pasted(demo: LiveServer, helm4: Helm, tmp_path: Path) -> None:
    (tmp_path / "picture.jpg").write_bytes((FILES / "picture.jpg").read_bytes())
    done = paste(helm4.notes(OPEN), demo.url, tmp_path)
    assert '"finish_reason":"stop"' in done.stdout, done.stderr


def test_the_notes_curl_sends_the_key(locked: tuple[LiveServer, str], helm4: Helm, tmp_path: Path) -> None:
    server, key = locked
    (tmp_path / "picture.jpg").write_bytes((FILES / "picture.jpg").read_bytes())
    assert '"finish_reason":"stop"' in paste(helm4.notes(KEYS), server.url, tmp_path, KEY=key).stdout
    assert '"invalid_api_key"' in paste(helm4.notes(KEYS), server.url, tmp_path, KEY="sk-wrong").stdout


def paste(notes: str, url: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """What happens when the lines from curl to END are pasted into a shell."""
    found = re.search(r"^curl .*?^END$", notes, re.DOTALL | re.MULTILINE)
    assert found is not None
    script = found[0].replace("http://127.0.0.1:8000", url).replace("curl ", "curl --silent ", 1)
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(
        ["sh", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
