"""The product's server as a process of its own, for as long as somebody measures it."""

import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from edgevlm_server.options import environment_with

from edgevlm.errors import CommandError
from edgevlm.http_client import ExchangeError, Server, fetch

GIVEN_TO_NOBODY = range(20_000, 32_768)
"""Linux gives ports from 32,768 on, other systems from 49,152 on."""
RUNNING = ("engine", "provider", "threads", "plans", "no_cuda_graphs", "max_batch", "max_length", "memory")
"""Settings that say how the model runs; variables for them are for every server on this machine.

All others are for the site's own: its address, keys, certificates, audit and limits.
"""
START_SECONDS = 900
STOP_SECONDS = 40
"""Longer than the server lets running requests go on."""


class OwnServer(NamedTuple):
    """Its address, and the number of its process."""

    url: str
    process: int


@contextmanager
def own_server(bundle: Path, options: Sequence[str] = ()) -> Iterator[str]:
    """The address of a server on a port that was free; it ends with the block, however that ends."""
    with own_process(bundle, options) as server:
        yield server.url


@contextmanager
def own_process(
    bundle: Path, options: Sequence[str] = (), log: IO[bytes] | None = None, program: str = "edgevlm"
) -> Iterator[OwnServer]:
    """The same for whoever looks at the process, too.

    `log` takes what it would say here; `program` is the module that serves, if it is another.
    """
    port = free_port()
    serve = [sys.executable, "-m", program, "serve", str(bundle), "--host", "127.0.0.1", "--port", str(port)]
    command = [*serve, "--log-level", "warning", *options]
    with subprocess.Popen(command, stderr=log, env=environment_with(RUNNING)) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(process, Server.at(url))
            yield OwnServer(url, process.pid)
        finally:
            stop(process, STOP_SECONDS)


def free_port() -> int:
    """One of loopback that nobody listens on now.

    None that the system gives to whoever asks for any: until somebody listens here, it would be somebody else's.
    Raises `CommandError`.
    """
    for port in random.sample(GIVEN_TO_NOBODY, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise CommandError("No port of 127.0.0.1 can be had.")


def stop(process: subprocess.Popen[bytes], seconds: float) -> None:
    """By asking, and by force if it goes on for so long."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()


def _wait_until_ready(process: subprocess.Popen[bytes], server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if _ready(server):
            return
        time.sleep(0.05)
    raise CommandError("The server did not start; its own message is above.")


def _ready(server: Server) -> bool:
    try:
        return fetch(server, "GET", "/ready", seconds=START_SECONDS).status == 200
    except ExchangeError:
        return False
