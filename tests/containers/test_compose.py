"""compose.yaml run by podman-compose: every variable of its .env reaches the server, and its port is published."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from edgevlm.own_server import free_port
from tests.containers.podman import ROOT, Container, Podman

PROGRAM = Path(sys.executable).with_name("podman-compose")
NOT_A_JETSON = "BOX_RUNTIME=runc\nBOX_RELEASE=/dev/null\nBOX_POWER_MODES=/dev/null\nBOX_ADDRESS=127.0.0.1\n"


class Box:
    """A folder with compose.yaml and .env, as it is on a device."""

    def __init__(self, folder: Path, podman: Podman) -> None:
        self._podman = podman
        folder.mkdir()
        self._folder = folder
        shutil.copy(ROOT / "docker/compose.yaml", folder)
        shutil.copytree(ROOT / "docker/monitoring", folder / "monitoring")
        self._name = f"edgevlm-{os.getpid()}"

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            [PROGRAM, "--project-name", self._name, *words],
            cwd=self._folder,
            env=self._podman.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def set(self, settings: str) -> None:
        (self._folder / ".env").write_text(NOT_A_JETSON + settings)

    @contextmanager
    def up(self, settings: str) -> Iterator[Container]:
        self.set(settings)
        self("up", "--detach", "--no-build")
        try:
            yield Container(self._podman, f"{self._name}_edgevlm_1")
        finally:
            self("down", "--volumes")


@pytest.fixture
def box(podman: Podman, tmp_path: Path) -> Box:
    return Box(tmp_path / "box", podman)


def test_every_variable_and_the_port_reach_the_server(box: Box, cpu_image: str, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir(mode=0o755)
    port = free_port()
    settings = f"""
BOX_IMAGE={cpu_image}
BOX_MODELS={tmp_path / "models"}
BOX_CERTS={tmp_path / "models"}
BOX_STATIONS={tmp_path / "models"}
EDGEVLM_API_KEYS=
EDGEVLM_OPEN_TO_NETWORK_WITHOUT_KEYS=yes
EDGEVLM_PORT={port}
EDGEVLM_ENGINE=echo
EDGEVLM_NAME=line-3
EDGEVLM_MAX_QUEUE=7
EDGEVLM_MAX_BATCHS=2
"""
    with box.up(settings) as container:
        container.until_ready(url=f"http://127.0.0.1:{port}")
        assert httpx.get(f"http://127.0.0.1:{port}/v1/models", timeout=60).json()["data"][0]["id"] == "line-3"
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text
        assert "edgevlm_num_requests_waiting_limit 7.0" in metrics
        [_, *check] = json.loads(container.inspect("json .Config.Healthcheck"))["Test"]
        assert container.exec(*check).returncode == 0
        assert "EDGEVLM_MAX_BATCHS is set, but there is no such option" in container.log


def test_the_key_file_is_backed_up_and_put_back(podman: Podman, cpu_image: str) -> None:
    """As docs/shipping.md says, by the same programs in the image."""
    restore = "umask 077; cat > /keys/keys.txt"
    assert restore in (ROOT / "docs/shipping.md").read_text()
    with podman.volume() as old, podman.volume() as new:
        podman("run", "--rm", f"--volume={old}:/keys", cpu_image, "keys", "add", "/keys/keys.txt", "camera-1")
        saved = podman("run", "--rm", f"--volume={old}:/keys", "--entrypoint=cat", cpu_image, "/keys/keys.txt")
        assert "camera-1" in saved
        put = ["run", "--rm", "-i", f"--volume={new}:/keys", "--entrypoint=sh", cpu_image, "-c", restore]
        podman(*put, given=f"{saved}\n")
        listed = podman("run", "--rm", f"--volume={new}:/keys", cpu_image, "keys", "list", "/keys/keys.txt")
        assert "camera-1" in listed


def test_prometheus_and_grafana_stand_beside_it(box: Box) -> None:
    with pytest.raises(AssertionError, match="BOX_GRAFANA_PASSWORD"):
        box("-f", "compose.yaml", "-f", "monitoring/compose.yaml", "config")
    box.set("BOX_GRAFANA_PASSWORD=secret")
    services = yaml.safe_load(box("-f", "compose.yaml", "-f", "monitoring/compose.yaml", "config"))["services"]
    assert set(services) == {"edgevlm", "prometheus", "grafana"}
    scraped = yaml.safe_load((ROOT / "docker/monitoring/prometheus.yaml").read_text())["scrape_configs"][0]
    [target] = scraped["static_configs"][0]["targets"]
    assert target == f"edgevlm:{services['edgevlm']['environment']['EDGEVLM_METRICS_PORT']}"
    assert services["edgevlm"]["environment"]["BOX_GRAFANA_PASSWORD"] == ""
    assert services["edgevlm"]["ports"] == ["127.0.0.1:8000:8000"], "the port for metrics is published to nobody"
    for volume in [*services["prometheus"]["volumes"], *services["grafana"]["volumes"]]:
        source = volume.split(":")[0]
        assert not source.startswith(".") or (ROOT / "docker" / source).is_file(), volume


def test_without_a_file_of_settings_it_is_a_jetson_with_keys(box: Box) -> None:
    service = yaml.safe_load(box("config"))["services"]["edgevlm"]
    assert service["image"] == "edgevlm:0.2.0-jetson-jp6"
    assert service["ports"] == ["0.0.0.0:8000:8000"]
    assert service["environment"]["EDGEVLM_API_KEYS"] == "/keys/keys.txt"
