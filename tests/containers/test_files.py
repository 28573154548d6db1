"""Files beside the images agree with the product: its version, its options, its exit codes. Nothing is built here."""

import configparser
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli
import trustme
import yaml
from edgevlm_server.device.power_modes import CONFIGURATION, STATUS
from edgevlm_server.exit_codes import EXIT_CANNOT_START
from edgevlm_server.http.transport.tls import Certificate
from edgevlm_server.model import load_model
from edgevlm_server.options import options, variable
from edgevlm_server.settings import Settings

from edgevlm.commands.serve import OPTIONS
from tests.containers.podman import ROOT
from tests.live import LiveServer

BIN = Path(sys.executable).parent
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["edgevlm"]
VARIABLES = {variable(name) for kind in OPTIONS for name in options(kind)}


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_dockerfiles_are_clean(dockerfile: Path) -> None:
    subprocess.run([BIN / "hadolint", "--config", ROOT / ".hadolint.yaml", dockerfile], check=True)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_all_that_an_image_is_made_of_is_let_through(dockerfile: Path) -> None:
    """Docker leaves out of mounts, too, what `.dockerignore` names; podman, which builds in these tests, does not."""
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    used = set(re.findall(r"\bdocker/(?:locks|sources|[\w-]+\.py)\b", dockerfile.read_text()))
    assert used >= {"docker/locks", "docker/sbom.py"}
    assert used <= let_through


def test_there_are_three_images() -> None:
    assert [path.stem for path in DOCKERFILES] == ["cpu", "jetson-jp6", "jetson-jp7"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_images_name_their_commit_and_options_that_exist(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    project = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert 'image.revision="${COMMIT}"' in text
    assert f'image.licenses="{project["license"]}"' in text
    assert set(re.findall(r"EDGEVLM_[A-Z_]+", text)) <= VARIABLES


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_the_health_check_speaks_as_the_server_does(
    dockerfile: Path, encrypted: bool, bundles: Callable[[str], Path], tmp_path: Path
) -> None:
    [command] = re.findall(r"^HEALTHCHECK .* CMD (\[.*\])$", dockerfile.read_text(), re.MULTILINE)
    made = trustme.CA().issue_cert("server.example")
    made.private_key_and_cert_chain_pem.write_to_path(tmp_path / "pem")
    certificate = Certificate(tmp_path / "pem", tmp_path / "pem") if encrypted else None
    settings = Settings(engine="echo")
    with LiveServer(lambda: load_model(bundles("v2"), settings), settings, certificate=certificate) as server:
        # the server's variable, as compose sets it to nothing without a certificate
        environment = {"EDGEVLM_PORT": str(server.port), "EDGEVLM_TLS_CERT": "/certs/tls.crt" if encrypted else ""}
        subprocess.run([sys.executable, *json.loads(command)[1:]], env=environment, check=True, timeout=60)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_every_lock_has_what_the_project_asks_for(dockerfile: Path) -> None:
    lock = (DOCKER / "locks" / f"{dockerfile.stem}.txt").read_text()
    assert "--hash=sha256:" in lock
    project = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
    # nothing can be installed in an image, so traces must not need it
    for dependency in [*project["dependencies"], *project["optional-dependencies"]["otel"]]:
        name = re.split(r"[<>=]", dependency)[0].replace("_", "-")
        assert re.search(rf"^{name}==", lock, re.MULTILINE), name
    assert ("onnxruntime==" in lock) == (dockerfile.stem == "cpu")


def test_compose_is_tight_and_names_options_that_exist() -> None:
    assert COMPOSE["read_only"] is True
    assert COMPOSE["cap_drop"] == ["ALL"]
    assert COMPOSE["security_opt"] == ["no-new-privileges:true"]
    assert set(COMPOSE["environment"]) <= VARIABLES
    assert COMPOSE["environment"]["EDGEVLM_API_KEYS"] == "${EDGEVLM_API_KEYS-/keys/keys.txt}"
    # whatever is in it reaches the server, without a list that options could be missing from
    assert COMPOSE["env_file"] == [{"path": ".env", "required": False}]
    assert "OPEN_TO_NETWORK" not in str(COMPOSE)
    places = [re.sub(":ro$", "", volume).rsplit(":", 1)[1] for volume in COMPOSE["volumes"]]
    modes = [CONFIGURATION, str(Path(STATUS).parent)]
    assert places == ["/models", "/etc/nv_tegra_release", *modes, "/cache", "/keys", "/certs", "/stations"]


def test_images_are_built_under_the_names_that_are_asked_for() -> None:
    version = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    names = {f"edgevlm:{version}-{dockerfile.stem}" for dockerfile in DOCKERFILES}
    asked = re.findall(r"edgevlm:[\w.-]+\w", (DOCKER / "compose.yaml").read_text())
    assert asked and set(asked) <= names
    for page in (DOCKER / "README.md", *ROOT.glob("docs/*.md"), ROOT / "README.md"):
        text = page.read_text()
        for name in re.findall(r"\bedgevlm:[\w.-]+\w", text):
            assert name in names, page
        for file, name in re.findall(r"docker build -f docker/([\w-]+)\.Dockerfile.* -t (\S+)", text):
            assert name == f"edgevlm:{version}-{file}", page


def test_the_unit_restarts_what_a_restart_can_help() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DOCKER / "edgevlm.service")
    assert unit["Service"]["Restart"] == "on-failure"
    assert unit["Service"]["RestartPreventExitStatus"] == str(EXIT_CANNOT_START)
    # one supervisor: docker's own restarts would hide exit codes from it
    assert COMPOSE["restart"] == "no"
    assert int(unit["Service"]["TimeoutStopSec"]) > int(re.sub(r"\D", "", COMPOSE["stop_grace_period"]))


def test_the_readme_names_variables_and_files_that_exist() -> None:
    text = (DOCKER / "README.md").read_text()
    compose = (DOCKER / "compose.yaml").read_text()
    assert set(re.findall(r"EDGEVLM_[A-Z_]*[A-Z]", text + compose)) <= VARIABLES
    assert set(re.findall(r"BOX_[A-Z_]*[A-Z]", text)) <= set(re.findall(r"\$\{(BOX_\w+)", compose))
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (DOCKER / link).exists(), link
    for file in re.findall(r"docker/[\w.-]+\w", text):
        assert (ROOT / file).exists(), file


@pytest.mark.parametrize(
    "script",
    [
        "docker/lock.sh",
        "tests/arm/make_root",
        "tests/clients/install",
        "tests/containers/base.sh",
        "tests/debian_sources",
        "tests/install_tools",
    ],
)
def test_scripts_are_clean(script: str) -> None:
    subprocess.run([BIN / "shellcheck", ROOT / script], check=True)
