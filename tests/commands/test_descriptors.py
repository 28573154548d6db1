"""File descriptors that run out: the server takes as many as it may, says so in a line, and serves on."""

import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.commands.serve_process import Process, ready, scripted, serve, started
from tests.server.engines import until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")]

Bundles = Callable[[str], Path]


def limited(limits: str, command: list[str | Path]) -> list[str | Path]:
    """The command under limits as the shell's `ulimit` sets them."""
    return ["bash", "-c", f'{limits} && exec "$@"', "bash", *command]


def open_files(process: Process) -> tuple[str, str]:
    """The soft and the hard limit."""
    limits = Path(f"/proc/{process.process.pid}/limits").read_text().splitlines()
    [line] = [line for line in limits if line.startswith("Max open files")]
    return line.split()[3], line.split()[4]


def connect(stack: ExitStack, url: str, count: int) -> list[socket.socket]:
    host, port = url.removeprefix("http://").split(":")
    return [stack.enter_context(socket.create_connection((host, int(port)), timeout=20)) for _ in range(count)]


def is_served(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_the_limit_is_raised(bundles: Bundles) -> None:
    with started(limited("ulimit -Sn 200 && ulimit -Hn 2000", serve(bundles("v2"), "--engine", "echo"))) as process:
        process.url()
        assert open_files(process) == ("2000", "2000")
    assert "file descriptors" not in process.log


def test_as_many_connections_as_descriptors_allow(bundles: Bundles) -> None:
    command = serve(bundles("v2"), "--engine", "echo", "--head-timeout", "2")
    with started(limited("ulimit -n 200", command)) as process, ExitStack() as stack:
        url = process.url()
        assert "At most 72 connections instead of 1024: there are 200 file descriptors." in process.log
        ready(url)
        until(lambda: "Try it in a browser" in process.log, "the last line of the start")
        lines = len(process.lines)
        connect(stack, url, 300)
        until(lambda: is_served(url), "the silent ones to be given up")
        assert not process.lines[lines:]


def test_out_of_descriptors_is_a_line_a_second(bundles: Bundles) -> None:
    """Taken away after the start, as other parts of the process might."""
    starve = (
        "import os, resource; n = len(os.listdir('/proc/self/fd')) + 20; "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (n, n)); engine = SlowEngine(bundle, slots=2)"
    )
    with started(scripted(starve, bundles("v2"))) as process:
        url = process.url()
        ready(url)
        before = time.monotonic()
        with ExitStack() as stack:
            connect(stack, url, 100)
            until(lambda: process.log.count("No connection can be accepted") >= 2, "two tries")
            tries = time.monotonic() - before
        until(lambda: is_served(url), "descriptors to be free")
        complaints = process.log.count("No connection can be accepted")
        assert complaints <= tries + (time.monotonic() - before) + 1
        assert len(process.lines) < 60
        assert "socket.accept()" not in process.log
