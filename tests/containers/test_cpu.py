"""The image for CPUs, run as a cluster would: read-only, not root, no capability, a limit of memory."""

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.containers.images import COMMIT
from tests.containers.podman import ROOT, Container, Podman

OPEN = "--env=EDGEVLM_OPEN_TO_NETWORK_WITHOUT_KEYS=yes"
GOLDEN = ROOT / "tests/data/golden/v2"
NOBODY = "10001"
NOBODY_THERE = "connection refused, or closed without a word"


@pytest.fixture(scope="module")
def demo(podman: Podman, cpu_image: str) -> Iterator[Container]:
    with podman.running(cpu_image, OPEN) as container:
        container.until_ready()
        yield container


def question(**fields: object) -> dict[str, Any]:
    return {**json.loads((ROOT / "examples/display.json").read_text()), **fields}


def answer(url: str) -> str:
    reply = httpx.post(f"{url}/v1/chat/completions", json=question(), timeout=60)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["choices"][0]["message"]["content"])


def test_the_demo_model_reads_a_display(demo: Container) -> None:
    [example] = [one for one in json.loads((ROOT / "examples/examples.json").read_text()) if "display" in one["body"]]
    assert answer(demo.url) == example["answer"]
    assert demo.healthy()
    assert "Exporting" not in demo.log


def test_the_image_says_which_commit_it_was_built_from(podman: Podman, cpu_image: str, demo: Container) -> None:
    assert podman.inspect(cpu_image)["Labels"]["org.opencontainers.image.revision"] == COMMIT
    assert httpx.get(f"{demo.url}/version", timeout=60).json()["commit"] == COMMIT
    assert f"({COMMIT[:12]})" in demo.exec("edgevlm", "--version").stdout


def test_nobody_in_it_can_do_anything_else(demo: Container) -> None:
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{demo.pid}/status").read_text().splitlines())
    assert status["Uid"].split() == [NOBODY] * 4
    assert int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    for folder in ("/", "/opt/edgevlm", "/cache", "/models"):
        assert "Read-only" in demo.exec("python3", "-c", f"open('{folder}/file', 'w')").stderr


def test_no_tool_for_building_is_left(demo: Container) -> None:
    names = ("gcc", "cc", "make", "pip", "git", "curl")
    found = demo.exec("python3", "-c", f"import shutil; print([name for name in {names} if shutil.which(name)])")
    assert found.stdout.strip() == "[]"


def test_traces_need_nothing_more(demo: Container) -> None:
    found = demo.exec("python3", "-c", "import opentelemetry.exporter.otlp.proto.http.trace_exporter as t; print(t)")
    assert "trace_exporter" in found.stdout, found.stderr


def test_it_holds_the_bill_of_what_is_in_it(demo: Container) -> None:
    bill = json.loads(demo.exec("cat", "/opt/edgevlm/share/sbom/sbom.cdx.json").stdout)
    licences = demo.exec("cat", "/opt/edgevlm/share/sbom/licences.txt").stdout.splitlines()
    kinds = {one["purl"].split("@")[0] for one in bill["components"]}
    assert {"pkg:pypi/onnxruntime", "pkg:pypi/h11", "pkg:deb/debian/libc6", "pkg:deb/debian/python3"} <= kinds
    assert len(licences) == len(bill["components"])
    assert not [line for line in licences if "not known" in line or "not stated" in line]


def test_without_keys_it_says_how_to_start(podman: Podman, cpu_image: str) -> None:
    with podman.running(cpu_image) as container:
        assert container.wait() == 78
        assert "--api-keys FILE" in container.log


def test_too_little_memory_is_one_sentence_and_not_a_kill(podman: Podman, cpu_image: str) -> None:
    with podman.running(cpu_image, OPEN, "--memory=300m") as container:
        assert container.wait() == 78
        assert "There is not enough memory" in container.log


def test_keys_made_in_a_container_open_the_server(podman: Podman, cpu_image: str) -> None:
    with podman.volume() as name:
        volume = f"--volume={name}:/keys"
        key = podman("run", "--rm", volume, cpu_image, "keys", "add", "/keys/keys.txt", "camera-1")
        with podman.running(cpu_image, volume, "--env=EDGEVLM_API_KEYS=/keys/keys.txt") as container:
            container.until_ready()
            url = f"{container.url}/v1/models"
            assert httpx.get(url, timeout=60).status_code == 401
            assert httpx.get(url, headers={"authorization": f"Bearer {key}"}, timeout=60).status_code == 200
            assert container.healthy()


def test_a_checkpoint_is_exported_at_the_first_start_only(podman: Podman, cpu_image: str, models: Path) -> None:
    shutil.copytree(GOLDEN / "checkpoint", models / "tiny")
    shutil.copytree(GOLDEN / "clip", models / "clip")
    command = ["serve", "/models/tiny", "--vision-tower", "/models/clip", "--vision-precision", "int8"]
    with podman.volume() as cache:
        options = [OPEN, f"--volume={models}:/models:ro", f"--volume={cache}:/cache"]
        for expected in (1, 0):
            with podman.running(cpu_image, *options, command=command) as container:
                container.until_ready()
                assert container.log.count("Exporting /models/tiny for cpu") == expected
                assert httpx.get(f"{container.url}/v1/models", timeout=60).json()["data"][0]["id"] == "tiny"


@pytest.mark.parametrize("cache", ["none", "root's"])
def test_a_cache_that_cannot_be_written_is_one_sentence(
    podman: Podman, cpu_image: str, models: Path, cache: str
) -> None:
    shutil.copytree(GOLDEN / "checkpoint", models / "tiny")
    (models / "cache").mkdir(mode=0o700)
    options = [OPEN, f"--volume={models}:/models:ro"]
    if cache == "root's":
        options.append(f"--volume={models}/cache:/cache")
    with podman.running(cpu_image, *options, command=["serve", "/models/tiny"]) as container:
        assert container.wait() == 78
        reason = "Read-only file system" if cache == "none" else "Permission denied"
        assert f"cannot be written: {reason}; make it writable" in container.log
        assert "Traceback" not in container.log


def test_sigterm_lets_requests_in_flight_end(podman: Podman, cpu_image: str) -> None:
    # half a processor, so that answers take long enough to be caught in the middle
    with podman.running(cpu_image, OPEN, "--cpus=0.5") as container:
        container.until_ready()
        pid, url, begun = container.pid, container.url, threading.Event()
        with ThreadPoolExecutor(16) as pool:
            futures = [pool.submit(stream, url, begun.set) for _ in range(16)]
            assert begun.wait(60)
            os.kill(pid, signal.SIGTERM)
            ends = [future.result() for future in futures]
        assert container.wait() == 0
        log = container.log
    # whoever comes late is refused, or finds nobody; no answer that began is broken off
    assert "data: [DONE]" in ends
    assert set(ends) <= {"data: [DONE]", "503", NOBODY_THERE}
    # ends of streams after the signal: there were requests to wait for
    assert log.rindex(" 200 ") > log.index("The server is draining")


def stream(url: str, begun: Callable[[], None]) -> str:
    """The last line of a streamed answer, the status of a refusal, or `NOBODY_THERE`."""
    last = ""
    body = question(stream=True)
    body["messages"][0]["content"][-1] = {"type": "text", "text": "Describe the image."}
    # long enough for the signal to come in the middle, whatever else the machine does
    body |= {"min_tokens": 150, "max_tokens": 150}
    try:
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=250) as response:
            if response.status_code != 200:
                return str(response.status_code)
            for line in filter(None, response.iter_lines()):
                last = line
                begun()
    except (httpx.NetworkError, httpx.RemoteProtocolError):
        # a connection may still be made to a process that ends before it reads from it
        if last:
            raise
        return NOBODY_THERE
    return last
