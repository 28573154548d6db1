"""`edgevlm bench http` against a live server: what it counts, sends, writes and says. No test looks at a speed."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edgevlm_engines import Floats, Tokens
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings

from edgevlm.cli import main
from edgevlm.own_server import own_server
from tests.live import LiveServer
from tests.server.engines import SlowEngine, SlowSight, until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LAMP, GAUGE = (str(ROOT / "examples" / name) for name in ("lamp.png", "gauge.jpg"))
Bundles = Callable[[str], Path]


def bench(server: LiveServer, folder: Path, *arguments: str) -> dict[str, Any]:
    """The JSON file of a run that was answered."""
    file = folder / "bench.json"
    assert main(["bench", "http", "--url", server.url, "--json", str(file), *arguments]) == 0
    written: dict[str, Any] = json.loads(file.read_text())
    return written


def test_a_closed_loop_is_counted_shown_and_written(
    echo_server: LiveServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = echo_server.metrics()["edgevlm_requests_received_total"]
    record = bench(echo_server, tmp_path, "--requests", "7", "--clients", "3", "--seed", "5")
    received = echo_server.metrics()["edgevlm_requests_received_total"] - before
    summary, requests = record["summary"], record["requests"]
    assert received == 7 + 3, "the warm-up is one request a client"
    assert len(requests) == summary["requests"] == summary["ok"] == 7
    assert summary["errors"] == {}
    assert record["seed"] == 5
    for request in requests:
        assert request["outcome"] == "ok"
        assert request["intended"] <= request["sent"] <= request["pieces"][0] <= request["ended"]
        assert request["pieces"] == sorted(request["pieces"])
        assert request["time_to_first_token"] == request["pieces"][0] - request["intended"]
        assert request["end_to_end"] == request["ended"] - request["intended"] <= summary["end_to_end"]["max"]
        assert request["completion_tokens"] >= len(request["pieces"]) > 1
    tokens = sum(request["completion_tokens"] for request in requests)
    assert summary["tokens_per_second"] == pytest.approx(tokens / summary["seconds"])
    printed = capsys.readouterr()
    assert "3 clients, a fresh drawing each time" in printed.out
    assert "| 7 | 7 | 0 |" in printed.out
    assert printed.out.count("\n|---") == 2
    assert printed.err.startswith("Measuring v2 at ")


class Gathering(SlowEngine):
    """Behind the warm-up it goes on only when all eight requests are inside."""

    server: LiveServer
    gathered = False

    def prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats:
        if self.decoded and not self.gathered:
            until(lambda: self.server.service.admission.inside == 8, "all to be inside")
            self.gathered = True
        return super().prefill(slot, start, tokens, features)


def test_an_open_loop_sends_at_its_times_whatever_the_answers_do(bundles: Bundles, tmp_path: Path) -> None:
    arguments = ("--rate", "40", "--requests", "8", "--seed", "1", "--same-image", "--max-tokens", "4")
    engine = Gathering(bundles("v2"), slots=1, seconds=0.05)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        engine.server = server
        requests = bench(server, tmp_path, *arguments)["requests"]
    requests.sort(key=lambda request: request["intended"])
    # one slot serves 4 a second at the most: 4 steps of 50 ms behind the prompt's
    assert requests[4]["sent"] < requests[0]["ended"]
    # it comes a quarter of a second after the first, and the seven before it take a second at least
    assert requests[-1]["end_to_end"] > 0.6, "waiting in the queue is seen"
    for request in requests:
        assert request["sent"] >= request["intended"]
        assert request["end_to_end"] == request["ended"] - request["intended"]


def test_gaps_are_those_of_the_server(bundles: Bundles, tmp_path: Path) -> None:
    with LiveServer.on_engine(bundles("v2"), SlowEngine(bundles("v2"), slots=2, seconds=0.03)) as server:
        requests = bench(server, tmp_path, "--requests", "2", "--same-image")["requests"]
    for request in requests:
        pieces = request["pieces"]
        # the first one may have been seen late
        assert pieces[-1] - request["sent"] >= 0.03 * (len(pieces) - 1)


@pytest.mark.parametrize(
    ("arguments", "encoded"),
    [
        ([], 4),  # three, and one to warm up
        (["--same-image"], 1),
        (["--image", LAMP, GAUGE], 2),
        (["--image", LAMP, GAUGE, "--same-image"], 1),
    ],
)
def test_pictures_are_fresh_or_not_as_asked(
    bundles: Bundles, tmp_path: Path, arguments: list[str], encoded: int
) -> None:
    engine = SlowSight(bundles("v2"), slots=2, seconds=0)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        assert len(bench(server, tmp_path, "--requests", "3", *arguments)["requests"]) == 3
    assert engine.encoded == encoded


def test_refused_requests_are_errors_by_status_and_the_counts_add_up(
    bundles: Bundles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = SlowEngine(bundles("v2"), slots=1)
    with LiveServer.on_engine(bundles("v2"), engine, max_queue=0) as server:
        arguments = ("--requests", "12", "--clients", "4", "--same-image", "--warm-up", "1")
        record = bench(server, tmp_path, *arguments)
    summary = record["summary"]
    assert summary["errors"].keys() == {"429"}
    assert summary["requests"] == 12 == summary["ok"] + summary["errors"]["429"]
    refused = [request for request in record["requests"] if request["outcome"] == "429"]
    assert all("queue is full" in request["detail"] and not request["pieces"] for request in refused)
    assert f"{len(refused)} x 429" in capsys.readouterr().out


def test_time_alone_can_end_a_run(echo_server: LiveServer, tmp_path: Path) -> None:
    record = bench(echo_server, tmp_path, "--seconds", "2", "--same-image", "--question", "a", "b")
    assert record["summary"]["ok"] >= 1
    sent = sorted(request["sent"] for request in record["requests"])
    # the last one may have been held up behind the look at the clock
    assert all(one < 2 for one in sent[:-1])


@pytest.fixture(scope="module")
def locked(bundles: Bundles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveServer, Path]]:
    """A server that wants a key, and a file that holds one."""
    folder = tmp_path_factory.mktemp("keys")
    (folder / "key").write_text(add_key(folder / "keys", "bench") + "\n")
    settings = Settings(engine="echo")
    ring = KeyRing.load(folder / "keys")
    with LiveServer(lambda: load_model(bundles("v2"), settings), settings, ring) as server:
        yield server, folder / "key"


def test_a_key_opens_and_no_key_or_a_wrong_one_is_one_sentence(
    locked: tuple[LiveServer, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server, key_file = locked
    assert bench(server, tmp_path, "--requests", "1", "--key-file", str(key_file))["summary"]["ok"] == 1
    assert bench(server, tmp_path, "--requests", "1", "--key", key_file.read_text().strip())["summary"]["ok"] == 1
    capsys.readouterr()
    assert main(["bench", "http", "--url", server.url]) == 1
    assert "requires an API key; see --key-file (401" in capsys.readouterr().err
    assert main(["bench", "http", "--url", server.url, "--model", "v2", "--requests", "1", "--key", "x"]) == 1
    assert "does not accept this API key (401" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--url", "http://127.0.0.1:9"], "http://127.0.0.1:9 cannot be reached: Connection refused."),
        (["--model", "other"], "has no such model"),
        (
            ["--question", "a b " * 3000],
            "cannot be measured: the first answer is 400: messages: The prompt is too long",
        ),
        (["--image", "absent.png"], "absent.png cannot be read"),
        (["--key-file", "absent.key"], "absent.key cannot be read"),
        (["--rate", "0.001", "--seconds", "0.1"], "none is due within"),
        (["--json", "absent/file"], "absent/file cannot be written"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(
    echo_server: LiveServer, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "http", "--url", echo_server.url, "--requests", "1", *arguments]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("edgevlm bench: ")
    assert sentence in said


@pytest.mark.parametrize(
    "arguments",
    [["--clients", "0"], ["--rate", "0"], ["--rate", "nan"], ["--clients", "2", "--rate", "1"], ["--seed", "-1"]],
)
def test_options_that_make_no_sense_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bench", "http", *arguments])


def test_help_lists_the_options() -> None:
    command = [sys.executable, "-m", "edgevlm", "bench", "http", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for option in ("--url", "--key-file", "--rate", "--same-image", "--json"):
        assert option in text


def test_an_interrupt_shows_what_was_measured(echo_server: LiveServer, tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    arguments = ["--url", echo_server.url, "--same-image", "--seconds", "200", "--json", str(file)]
    command = [sys.executable, "-m", "edgevlm", "bench", "http", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Measuring ")
        before = echo_server.metrics()["edgevlm_requests_received_total"]
        while echo_server.metrics()["edgevlm_requests_received_total"] < before + 5:
            assert process.poll() is None
            # the server is a thread of this process: without a pause it would hardly run
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == ""
    record = json.loads(file.read_text())
    assert record["summary"]["ok"] == record["summary"]["requests"] >= 4
    assert f"| {record['summary']['requests']} | {record['summary']['ok']} | 0 |" in out


def test_the_benchmark_prints_its_table(bundles: Bundles, tmp_path: Path) -> None:
    file = tmp_path / "http.json"
    arguments = [str(bundles("v2")), "--clients", "1,2", "--requests", "3", "--json", str(file), "--engine", "echo"]
    command = [sys.executable, "-m", "benchmarks.http", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    runs = json.loads(file.read_text())["runs"]
    names = ["cold", "warm"] * 2 + ["warm, beside the next row", "cold, beside the row above"]
    assert [run["pictures"] for run in runs] == names
    assert [run["clients"] for run in runs] == [1, 1, 2, 2, 2, 1]
    assert all(run["summary"]["errors"] == {} for run in runs)
    assert [run["summary"]["requests"] for run in runs if "next row" not in run["pictures"]] == [3] * 5
    for run in runs:
        assert f"\n| {run['pictures']} | {run['clients']} | {run['summary']['requests']} | 0 |" in result.stdout


def test_the_benchmark_stops_its_server_whatever_happens(bundles: Bundles) -> None:
    with pytest.raises(ZeroDivisionError), own_server(bundles("v2"), ["--engine", "echo"]) as url:
        urllib.request.urlopen(f"{url}/health").close()
        raise ZeroDivisionError
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{url}/health")
