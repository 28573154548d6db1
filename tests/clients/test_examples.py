"""The client examples, each run as its first lines say, against a server on the demo model."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.clients.conftest import ROOT
from tests.live import LiveServer

EXAMPLES = ROOT / "examples"
CASES = {case["picture"]: case for case in json.loads((EXAMPLES / "examples.json").read_text())}
GAUGE = ("gauge.jpg", "What does the gauge read?")


def run(demo: LiveServer, *command: str | Path, key: str = "none", code: int = 0) -> str:
    environment = {**os.environ, "EDGEVLM_URL": demo.url, "EDGEVLM_KEY": key}
    result = subprocess.run(command, cwd=EXAMPLES, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize("script", ["ask_openai.py", "ask_langchain.py"])
def test_python_clients_print_the_answer_whole_and_streamed(demo: LiveServer, script: str) -> None:
    assert run(demo, sys.executable, script, *GAUGE) == "3.0\n3.0\n"


def test_the_node_client_prints_the_answer_whole_and_streamed(demo: LiveServer, beside_packages: Path) -> None:
    script = shutil.copy(EXAMPLES / "ask_openai.mjs", beside_packages)
    assert run(demo, "node", script, *GAUGE) == "3.0\n3.0\n"


def test_the_curl_script_prints_the_servers_json(demo: LiveServer) -> None:
    reply = json.loads(run(demo, "./ask.sh", *GAUGE))
    assert reply["choices"][0]["message"]["content"] == "3.0"


def test_the_curl_script_keeps_quotes_and_says_what_is_wrong(demo: LiveServer) -> None:
    reply = json.loads(run(demo, "./ask.sh", "gauge.jpg", 'What does "the \\ gauge" read? 100% $HOME'))
    assert reply["choices"][0]["finish_reason"] == "stop"
    refused = json.loads(run(demo, "./ask.sh", "README.md", "What is it?", code=22))
    assert refused["error"]["code"] == "image_unsupported"
    run(demo, "./ask.sh", "gauge.jpg", code=2)


@contextmanager
def camera_loop(demo: LiveServer, *arguments: str | Path) -> Iterator[Iterator[dict[str, str]]]:
    """Its lines as they come; it is ended with the block, as it never ends itself."""
    environment = {**os.environ, "EDGEVLM_URL": demo.url}
    command = [sys.executable, EXAMPLES / "camera_loop.py", *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield map(json.loads, process.stdout)
        process.terminate()


def test_the_camera_loop_takes_new_pictures_of_a_folder(demo: LiveServer, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "panel.jpg", tmp_path / "1.jpg")
    shutil.copy(EXAMPLES / "display.jpg", tmp_path / "2.jpg")
    with camera_loop(demo, tmp_path, "What does the display read?", "0.05") as lines:
        first = next(lines)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", first["time"])
        assert [first["answer"], next(lines)["answer"]] == ["3.7", "834.2"]
        (tmp_path / "new").write_bytes(b"no picture")
        assert next(lines)["error"].startswith("The picture's format")
        shutil.copy(EXAMPLES / "panel.jpg", tmp_path.parent / "3.jpg")
        (tmp_path.parent / "3.jpg").rename(tmp_path / "3.jpg")
        assert next(lines)["answer"] == "3.7"


class Snapshot(BaseHTTPRequestHandler):
    """A camera: each request gets the next picture."""

    pictures: Iterator[str]

    def do_GET(self) -> None:
        content = (EXAMPLES / next(self.pictures)).read_bytes()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_the_camera_loop_takes_snapshots_of_a_camera(demo: LiveServer) -> None:
    Snapshot.pictures = iter(["display.jpg", "panel.jpg"] * 1000)
    with HTTPServer(("127.0.0.1", 0), Snapshot) as camera:
        serving = threading.Thread(target=camera.serve_forever)
        serving.start()
        url = f"http://127.0.0.1:{camera.server_port}/snapshot.jpg"
        with camera_loop(demo, url, "What does the display read?", "0") as lines:
            assert [next(lines)["answer"] for _ in range(4)] == ["834.2", "3.7"] * 2
        camera.shutdown()
        serving.join()


def test_the_folders_readme_names_every_client() -> None:
    text = (EXAMPLES / "README.md").read_text()
    clients = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".mjs", ".sh")}
    assert clients == set(re.findall(r"\]\(([\w.]+\.(?:py|mjs|sh))\)", text))
    assert CASES[GAUGE[0]]["question"] == GAUGE[1]
