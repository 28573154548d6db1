"""`edgevlm serve` as a process, with its log and a client for it; also around an engine of the test's own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Thread

import httpx

from tests.server.engines import until


class Process:
    """A server process, its log so far, and a client for it."""

    def __init__(self, command: list[str | Path], environment: dict[str, str]) -> None:
        # what is read here is for people
        variables = {**os.environ, "EDGEVLM_LOG_FORMAT": "text", **environment}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=variables, bufsize=1)
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
        pattern = re.compile(r"Listening on (https?://\S+?);")
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


def held(gate: Path) -> str:
    """For `scripted`: an engine that says one token, and the next ones when the file is there."""
    return f"""
    class Held(SlowEngine):
        def decode(self, tokens, lengths):
            while not Path({str(gate)!r}).exists():
                time.sleep(0.01)
            return super().decode(tokens, lengths)
    engine = Held(bundle, slots=2, seconds=0)
"""


get = partial(httpx.get, timeout=60)
"""A machine may be busy with other tests."""


def chat(url: str, text: str = "hello", **headers: str) -> httpx.Response:
    body = {"messages": [{"role": "user", "content": text}]}
    return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=60)


def swallow(url: str) -> None:
    """Ask, and expect the connection to break."""
    with suppress(httpx.HTTPError):
        chat(url)


def series(url: str, name: str) -> float:
    text = get(f"{url}/metrics").text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def running(url: str) -> float:
    return series(url, "edgevlm_num_requests_running")


def ready(url: str) -> None:
    until(lambda: get(f"{url}/ready").status_code == 200, "the server to be ready")
