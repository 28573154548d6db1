"""Every way in which `edgevlm serve` cannot start, by exit code; the last line of the log is the reason."""

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from edgevlm_server.exit_codes import EXIT_CANNOT_START, EXIT_NOT_NOW

from tests.commands.serve_process import get, ready, serve, started
from tests.conftest import GOLDEN

pytestmark = pytest.mark.slow

Bundles = Callable[[str], Path]


def check(reason: str, *arguments: str | Path, **environment: str) -> None:
    ends(EXIT_CANNOT_START, reason, *arguments, **environment)


def ends(code: int, reason: str, *arguments: str | Path, **environment: str) -> None:
    with started(serve(*arguments), **environment) as process:
        assert process.wait() == code, process.log
    assert "Traceback" not in process.log
    assert reason in process.lines[-1], process.log


@pytest.mark.parametrize(
    ("reason", "environment"),
    [
        ("EDGEVLM_MAX_BATCH: ", {"EDGEVLM_MAX_BATCH": "many"}),
        ("EDGEVLM_PRECISION: choose one of", {"EDGEVLM_PRECISION": "int5"}),
        ("no checkpoint was given", {"EDGEVLM_PRECISION": "int4"}),
        ("--api-keys FILE", {"EDGEVLM_HOST": "0.0.0.0"}),
        ("/nowhere cannot be read", {"EDGEVLM_API_KEYS": "/nowhere"}),
        ("/nowhere is no folder of stations", {"EDGEVLM_STATIONS": "/nowhere"}),
        ("/nowhere", {"EDGEVLM_MODEL": "/nowhere"}),
        ("not enough memory", {"EDGEVLM_MEMORY": "1M"}),
        ("TensorRT", {"EDGEVLM_ENGINE": "trt"}),
        ("Cannot listen on 192.0.2.1", {"EDGEVLM_HOST": "192.0.2.1", "EDGEVLM_OPEN_TO_NETWORK_WITHOUT_KEYS": "yes"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_was_asked_for(reason: str, environment: dict[str, str]) -> None:
    check(reason, **environment)


def test_a_damaged_bundle(bundles: Bundles, tmp_path: Path) -> None:
    broken = shutil.copytree(bundles("v2"), tmp_path / "bundle")
    (broken / "decoder.data").write_bytes((broken / "decoder.data").read_bytes()[:-1])
    check("decoder.data is damaged", broken)


def test_a_hub_that_cannot_be_reached_may_be_later(tmp_path: Path) -> None:
    here = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    ends(EXIT_NOT_NOW, "cannot be reached", "MobileVLM_V2-1.7B", **here)


def test_a_port_in_use(bundles: Bundles) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        check(f"port {port}", bundles("v2"), "--port", port)


@pytest.mark.parametrize("lacking", ["config.json", "tokenizer.model"])
def test_a_checkpoint_that_cannot_be_exported(lacking: str, tmp_path: Path) -> None:
    checkpoint = shutil.copytree(GOLDEN / "v2" / "checkpoint", tmp_path / "tiny")
    (checkpoint / lacking).write_text("{}")
    check(str(checkpoint), checkpoint, "--vision-tower", GOLDEN / "v2" / "clip", XDG_CACHE_HOME=str(tmp_path))


def test_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check(str(tmp_path / "file"), XDG_CACHE_HOME=str(tmp_path / "file"))


def test_a_variable_that_means_nothing_is_named_and_the_server_starts(bundles: Bundles) -> None:
    with started(serve(bundles("v2"), "--engine", "echo"), EDGEVLM_MAX_BATCHS="2") as process:
        ready(process.url())
    assert "EDGEVLM_MAX_BATCHS is set, but there is no such option; is EDGEVLM_MAX_BATCH meant?" in process.log


def test_a_checkpoint_is_exported_as_the_environment_says(tmp_path: Path) -> None:
    environment = {
        "EDGEVLM_MODEL": str(GOLDEN / "v2" / "checkpoint"),
        "EDGEVLM_VISION_TOWER": str(GOLDEN / "v2" / "clip"),
        "EDGEVLM_PRECISION": "fp32",
        "EDGEVLM_NAME": "line 3",
    }
    with started(serve("--port", "0"), XDG_CACHE_HOME=str(tmp_path), **environment) as process:
        url = process.url()
        ready(url)
        info = next(line for line in get(f"{url}/metrics").text.splitlines() if "edgevlm_model_info{" in line)
    assert 'model="line 3"' in info and 'precision="fp32"' in info
