"""The product's server as a process of its own, for as long as somebody measures it."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgevlm.cli import CommandError

START_SECONDS = 900
STOP_SECONDS = 40
"""Longer than the server lets running requests go on."""


@contextmanager
def own_server(bundle: Path, options: Sequence[str] = ()) -> Iterator[str]:
    """The address of a server on a port that was free; it ends with the block, however that ends."""
    port = free_port()
    serve = [sys.executable, "-m", "edgevlm", "serve", str(bundle), "--port", str(port), "--log-level", "warning"]
    with subprocess.Popen([*serve, *options]) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(process, url)
            yield url
        finally:
            stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/ready", timeout=START_SECONDS):
                return
        except OSError:
            time.sleep(0.05)
    raise CommandError("The server did not start; its own message is above.")


def free_port() -> int:
    """A port of this machine that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server, which has some time to answer what it has begun."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
