"""The client examples, each run as its first lines say, against a server on the demo model."""

import csv
import json
import os
import re
import runpy
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from edgevlm_server.images.hosts import ImageHosts

from tests.clients.conftest import ROOT
from tests.live import LiveServer
from tests.manifests import change

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


def test_langchain_is_told_the_name_that_the_server_gives_its_model(demo_model: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(demo_model, tmp_path / "bundle"))
    change(bundle, model="line-4")
    with LiveServer.on_bundle(bundle) as server:
        assert run(server, sys.executable, "ask_langchain.py", *GAUGE) == "3.0\n3.0\n"


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
def camera_loop(demo: LiveServer, *arguments: str | Path) -> Iterator[Iterator[dict[str, Any]]]:
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
        (tmp_path / "folder").mkdir()
        (tmp_path.parent / "new").write_bytes(b"no picture")
        (tmp_path.parent / "new").rename(tmp_path / "new")
        assert next(lines)["error"].startswith("The picture's format")
        shutil.copy(EXAMPLES / "panel.jpg", tmp_path.parent / "3.jpg")
        (tmp_path.parent / "3.jpg").rename(tmp_path / "3.jpg")
        assert next(lines)["answer"] == "3.7"


def test_a_picture_that_is_gone_before_it_is_read_takes_no_other_along(tmp_path: Path) -> None:
    for name in "123":
        (tmp_path / name).write_text(name)
    frames = runpy.run_path(str(EXAMPLES / "camera_loop.py"))["frames"](str(tmp_path), 0)
    assert next(frames) == b"1"
    (tmp_path / "2").unlink()
    assert next(frames) == b"3"


def test_the_camera_loop_says_why_there_is_no_answer(demo_model: Path, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "gauge.jpg", tmp_path)
    with (
        LiveServer.on_bundle(demo_model, min_confidence=1.0) as server,
        camera_loop(server, tmp_path, GAUGE[1], "0.05") as lines,
    ):
        line = next(lines)
    assert (line["answer"], line["refused"]) == (None, "low_confidence")


class Snapshot(BaseHTTPRequestHandler):
    """A camera: each request gets the next picture."""

    pictures: Iterator[str]

    def do_GET(self) -> None:
        picture = next(self.pictures)
        if picture == "none":
            self.send_error(503)
            return
        content = (EXAMPLES / picture).read_bytes()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server that answers so."""
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()


@contextmanager
def camera_of(*pictures: str) -> Iterator[str]:
    """The address of a camera that shows these pictures in turn."""
    Snapshot.pictures = iter([*pictures] * 1000)
    with served(Snapshot) as address:
        yield f"{address}/snapshot.jpg"


def test_the_camera_loop_takes_snapshots_of_a_camera(demo: LiveServer) -> None:
    with (
        camera_of("display.jpg", "none", "panel.jpg") as url,
        camera_loop(demo, url, "What does the display read?", "0") as lines,
    ):
        assert [next(lines)["answer"] for _ in range(4)] == ["834.2", "3.7"] * 2


def test_what_a_station_reads_is_appended_to_a_csv_file(demo_model: Path, tmp_path: Path) -> None:
    table = tmp_path / "readings.csv"
    with LiveServer.on_bundle(demo_model, stations=EXAMPLES / "stations") as server:
        for picture in ("gauge.jpg", "lamp.png"):
            run(server, sys.executable, "readings_to_csv.py", picture, "press-4", table)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [(row["station"], row["name"], row["value"], row["unit"], row["reason"]) for row in rows] == [
        ("press-4", "pressure", "3.0", "bar", ""),
        ("press-4", "lamp", "", "", "refused"),
        ("press-4", "pressure", "", "bar", "refused"),
        ("press-4", "lamp", "amber", "", ""),
    ]


def test_stations_are_polled_and_one_without_a_picture_harms_no_other(demo_model: Path, tmp_path: Path) -> None:
    display = {"name": "display", "question": "What does the display read?", "type": "number"}
    (tmp_path / "stations").mkdir()
    with camera_of("display.jpg", "panel.jpg") as address:
        gone = "http://127.0.0.1:9/gone.jpg"
        for name, source in (("line-1", address), ("line-2", gone), ("line-3", address), ("by hand", None)):
            station = {"fields": [display], **({"source": source} if source else {})}
            (tmp_path / "stations" / f"{name.replace(' ', '-')}.json").write_text(json.dumps(station))
        hosts = ImageHosts.parse(f"{address.split('/')[2]},127.0.0.1:9")
        with LiveServer.on_bundle(demo_model, stations=tmp_path / "stations", image_hosts=hosts) as server:
            environment = {**os.environ, "EDGEVLM_URL": server.url}
            command = [sys.executable, str(EXAMPLES / "poll_stations.py"), str(tmp_path / "readings.db"), "0"]
            with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
                assert process.stderr is not None
                first, second = (process.stderr.readline() for _ in range(2))
                process.terminate()
    assert first.startswith("line-2 ") and second == first
    with sqlite3.connect(tmp_path / "readings.db") as database:
        rows = database.execute("SELECT station, name, value, reason FROM readings ORDER BY rowid").fetchall()
    assert rows[:2] == [("line-1", "display", "834.2", None), ("line-3", "display", "3.7", None)]


def test_without_a_camera_there_is_nothing_to_poll(demo_model: Path, tmp_path: Path) -> None:
    with LiveServer.on_bundle(demo_model, stations=EXAMPLES / "stations") as server:
        environment = {**os.environ, "EDGEVLM_URL": server.url}
        command = [sys.executable, str(EXAMPLES / "poll_stations.py"), str(tmp_path / "db"), "0"]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1 and result.stderr.startswith("No station has a camera:")


class Proxy(BaseHTTPRequestHandler):
    """Stands in front of a server that is away: its errors are pages, and so is once what it says is right."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self._say(200 if b"line-2" in body else 502, b"<h1>away</h1>")

    def _say(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def test_polling_goes_on_behind_an_answer_that_is_no_json(tmp_path: Path) -> None:
    with served(Proxy) as address:
        environment = {**os.environ, "EDGEVLM_URL": address}
        command = [sys.executable, str(EXAMPLES / "poll_stations.py"), str(tmp_path / "db"), "0", "line-1", "line-2"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            lines = [process.stderr.readline() for _ in range(3)]
            process.terminate()
    assert lines[0].startswith("line-1 HTTP Error 502") and lines[1].startswith("line-2 ") and lines[2] == lines[0]


def test_the_folders_readme_names_every_client() -> None:
    text = (EXAMPLES / "README.md").read_text()
    clients = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".mjs", ".sh")}
    assert clients == set(re.findall(r"\]\(([\w.]+\.(?:py|mjs|sh))\)", text))
    assert CASES[GAUGE[0]]["question"] == GAUGE[1]
