"""`edgevlm serve` as a process: keys and certificates that change under it, SIGHUP at any time, HTTPS."""

import signal
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import trustme
from edgevlm_server.http.access.key_file import add_key, rotate_key

from tests.commands.serve_process import Process, get, ready, scripted, serve, started
from tests.server.engines import until

pytestmark = pytest.mark.slow

Bundles = Callable[[str], Path]


def status(url: str, key: str) -> int:
    return get(f"{url}/v1/models", headers={"authorization": f"Bearer {key}"}).status_code


def test_keys_change_while_it_serves(bundles: Bundles, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    first = add_key(file, "camera-1")
    with started(serve(bundles("v2"), "--engine", "echo", "--api-keys", file)) as process:
        url = process.url()
        ready(url)
        assert status(url, first) == 200
        second = rotate_key(file, "camera-1", 0)
        until(lambda: status(url, second) == 200, "the new key to be taken")
        assert status(url, first) == 401
        (tmp_path / "new").write_text("nonsense\n")
        (tmp_path / "new").rename(file)
        until(lambda: "The keys that were read before stay valid." in process.log, "the log line")
        assert status(url, second) == 200
        process.process.send_signal(signal.SIGHUP)
        until(lambda: process.log.count("stay valid.") == 2, "the answer to SIGHUP")
        assert status(url, second) == 200
        process.process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


@pytest.mark.parametrize("moment", ["loading", "ready", "draining"])
def test_hanging_up_ends_nothing(bundles: Bundles, moment: str) -> None:
    body = "time.sleep(2); engine = SlowEngine(bundle, slots=2, seconds=0.02)"
    with started(scripted(body, bundles("v2"), drain_timeout=100)) as process:
        url = process.url()
        if moment != "loading":
            ready(url)
        if moment == "draining":
            body_ = {"messages": [{"role": "user", "content": "hello " * 20}], "stream": True}
            with httpx.stream("POST", f"{url}/v1/chat/completions", json=body_, timeout=30) as response:
                process.process.send_signal(signal.SIGTERM)
                until(lambda: "draining" in process.log, "the drain")
                hang_up(process)
                assert list(response.iter_lines())[-2] == "data: [DONE]"
            assert process.wait() == 0
            return
        hang_up(process)
        until(lambda: "SIGHUP: there are no files to read again." in process.log, "the log line")
        ready(url)
        process.process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_hanging_up_before_it_listens_ends_nothing_either() -> None:
    code = """
import os, signal, sys
from edgevlm_server import run
from edgevlm_server.settings import Settings
# a stand-in for reading the files, in whose moment the signal comes
run.Credentials.load = lambda settings: os.kill(os.getpid(), signal.SIGHUP) or sys.exit(5)
run.serve(Settings(), lambda: None)
"""
    with started([sys.executable, "-c", code]) as process:
        assert process.wait() == 5


def hang_up(process: Process) -> None:
    for _ in range(3):
        process.process.send_signal(signal.SIGHUP)


def test_https_and_a_certificate_that_is_renewed(bundles: Bundles, tmp_path: Path) -> None:
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    def issue() -> None:
        made = authority.issue_cert("127.0.0.1")
        made.private_key_pem.write_to_path(tmp_path / "key")
        (tmp_path / "crt").write_bytes(made.cert_chain_pems[0].bytes())

    def shown() -> str:
        port = int(url.rsplit(":", 1)[1])
        return ssl.get_server_certificate(("127.0.0.1", port))

    issue()
    options = ("--engine", "echo", "--tls-cert", tmp_path / "crt", "--tls-key", tmp_path / "key")
    with started(serve(bundles("v2"), *options)) as process:
        url = process.url()
        assert url.startswith("https://")
        with httpx.Client(base_url=url, verify=trusting, timeout=60) as client:
            until(lambda: client.get("/ready").status_code == 200, "the server to be ready")
            before = shown()
            issue()
            until(lambda: shown() != before, "the new certificate")
            assert client.get("/ready").status_code == 200
            process.process.send_signal(signal.SIGTERM)
            assert process.wait() == 0
    assert "Traceback" not in process.log


def test_a_certificate_that_cannot_be_used_is_one_sentence_and_exit_78(bundles: Bundles, tmp_path: Path) -> None:
    missing = tmp_path / "crt"
    options = ("--tls-cert", missing, "--tls-key", missing)
    with started(serve(bundles("v2"), "--engine", "echo", *options)) as process:
        assert process.wait() == 78
    assert f"{missing} cannot be read: No such file or directory" in process.lines[-1]
