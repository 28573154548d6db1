"""Images, built once from this folder's sources, on a base that stands in for a registry's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Once
from tests.containers import images
from tests.containers.images import Build
from tests.containers.podman import ROOT, Podman, configure


@pytest.fixture(scope="session")
def podman(once: Once) -> Podman:
    def prepare(folder: Path) -> None:
        folder.mkdir()
        configure(ROOT / ".venv" / "containers", folder)
        made = Podman(folder)
        # layers of images that were built before; those of today are what makes building quick
        made("image", "prune", "--force", "--filter=until=24h")
        made.make_base()

    return Podman(once("podman", prepare))


@pytest.fixture(scope="session")
def build(podman: Podman, once: Once) -> Build:
    """`Podman.build`, which each image is made with once in a run."""

    def built(name: str, dockerfile: Path, context: Path, **options: str) -> str:
        file = once(f"image-{name}", lambda file: file.write_text(podman.build(name, dockerfile, context, **options)))
        return file.read_text()

    return built


@pytest.fixture(scope="session")
def cpu_image(podman: Podman, build: Build) -> str:
    return images.cpu_image(build, podman.base)


@pytest.fixture
def models(tmp_path: Path) -> Iterator[Path]:
    """A folder of models for a container: as root made it, readable for all."""
    tmp_path.chmod(0o755)
    yield tmp_path
