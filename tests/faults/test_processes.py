"""The process killed, stuck, without folders, with a log that cannot be written: faults of a real `edgevlm serve`."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.commands.serve_process import chat, get, ready, running, scripted, serve, started, swallow
from tests.server.engines import until

pytestmark = pytest.mark.slow

Bundles = Callable[[str], Path]

STUCK = """
    import hashlib
    class Stuck(SlowEngine):
        def decode(self, tokens, lengths):
            # C code that neither returns nor holds Python's lock, as an engine's is
            hashlib.pbkdf2_hmac("sha256", b"stuck", b"in C", 400_000_000)
    engine = Stuck(bundle, slots=2)
"""


STOPS = """
    class Stops(SlowEngine):
        def decode(self, tokens, lengths):
            if self.decoded == 20:
                time.sleep(600)
            return super().decode(tokens, lengths)
    engine = Stops(bundle, slots=2)
"""


def test_killed_within_a_stream_nothing_looks_complete(bundles: Bundles) -> None:
    for _ in range(3):
        with started(scripted(STOPS, bundles("v2"))) as process:
            url = process.url()
            ready(url)
            body = {"messages": [{"role": "user", "content": "word " * 10}], "stream": True}
            lines: list[str] = []
            with (
                pytest.raises(httpx.TransportError),
                httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=30) as response,
            ):
                for line in response.iter_lines():
                    lines.append(line)
                    if len(lines) == 8:
                        process.process.kill()
            events = [line.removeprefix("data: ") for line in lines if line]
            assert len(events) > 2 and "[DONE]" not in events
            assert not [one for one in events if json.loads(one)["choices"][0]["finish_reason"]]
            assert process.wait() == -9


def test_while_an_engine_is_stuck_in_c_the_server_says_that_it_lives(bundles: Bundles) -> None:
    with started(scripted(STUCK, bundles("v2"), drain_timeout=60)) as process:
        url = process.url()
        ready(url)
        asked = Thread(target=swallow, args=[url])
        asked.start()
        until(lambda: running(url) == 1, "the request to run")
        for _ in range(10):
            assert get(f"{url}/health").status_code == 200
        assert running(url) == 1, "it was not stuck"
        process.process.terminate()
        until(lambda: "draining" in process.log, "the drain to begin")
        process.process.terminate()
        assert process.wait() == 128 + signal.SIGTERM
        asked.join()
    assert "Traceback" not in process.log


@pytest.mark.skipif(sys.platform != "linux", reason="writes to /dev/full")
def test_a_log_that_cannot_be_written_fails_no_request(bundles: Bundles) -> None:
    """`/dev/full` is a disk that is always full; the log goes there once its first line has told the port."""
    full = "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 2); engine = SlowEngine(bundle, slots=2)"
    with started(scripted(full, bundles("v2"))) as process:
        url = process.url()
        ready(url)
        for word in ("one", "two"):
            assert chat(url, word).json()["choices"][0]["message"]["content"].endswith(f"{word} ASSISTANT:")
        process.process.terminate()
        assert process.wait() == 0


def test_without_a_home_or_a_temporary_folder_it_serves(bundles: Bundles) -> None:
    nowhere = {"HOME": "/nonexistent", "TMPDIR": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent"}
    with started(serve(bundles("v2"), "--engine", "echo"), **nowhere) as process:
        url = process.url()
        ready(url)
        assert chat(url).status_code == 200
        process.process.terminate()
        assert process.wait() == 0
    assert "Traceback" not in process.log


def test_an_export_onto_a_full_disk_leaves_what_was_there(bundles: Bundles, tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk: it too ends a write in its middle."""
    golden = Path(__file__).parents[1] / "data" / "golden" / "v2"
    out = tmp_path / "out"
    out.mkdir()
    (out / "before").write_text("of another model")
    export = [sys.executable, "-m", "edgevlm", "export", str(golden / "checkpoint"), str(out / "bundle")]
    limited = ["bash", "-c", 'ulimit -f 64 && exec "$@"', "bash", *export, "--vision-tower", str(golden / "clip")]
    ended = subprocess.run(limited, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stderr
    assert re.search("cannot be written: (File too large|a file took less .* full disk)", ended.stderr), ended.stderr
    assert [path.name for path in out.iterdir()] == ["before"]


def test_a_clock_that_jumps_changes_no_deadline(bundles: Bundles) -> None:
    """A stand-in for a machine without a clock battery: Python's clock goes back a day, or forward, at each look."""
    jumping = """
    import itertools
    days = itertools.cycle([-86400.0, 86400.0, -20000 * 86400.0])
    real = time.time
    time.time = lambda: real() + next(days)
    engine = SlowEngine(bundle, slots=2)
"""
    with started(scripted(jumping, bundles("v2"), engine_timeout=60, head_timeout=60)) as process:
        url = process.url()
        ready(url)
        with httpx.Client(base_url=url, timeout=60) as client:
            for _ in range(2):
                body = {"messages": [{"role": "user", "content": "hello"}]}
                assert client.post("/v1/chat/completions", json=body).status_code == 200
        process.process.terminate()
        assert process.wait() == 0
    assert "Traceback" not in process.log
