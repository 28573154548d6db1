"""Images, built once from this folder's sources, on a base that stands in for a registry's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.podman import BASE, ROOT, Podman

COMMIT = "c0ffee" * 6 + "cafe"
"""Of the image; the tests' own, so that layers of another commit serve again."""


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Podman:
    made = Podman(ROOT / ".venv" / "containers", tmp_path_factory.mktemp("podman"))
    # layers of images that were built before; those of today are what makes building quick
    made("image", "prune", "--force", "--filter=until=24h")
    made.make_base()
    return made


@pytest.fixture(scope="session")
def cpu_image(podman: Podman) -> str:
    return podman.build("cpu", ROOT / "docker/cpu.Dockerfile", ROOT, BASE_IMAGE=BASE, COMMIT=COMMIT)


@pytest.fixture
def models(tmp_path: Path) -> Iterator[Path]:
    """A folder of models for a container: as root made it, readable for all."""
    tmp_path.chmod(0o755)
    yield tmp_path
