"""The images for Jetsons as far as a PC goes: the layers that are ours, on a base with NVIDIA's file names alone."""

import pytest

from tests.containers.images import TENSORRT, Build, jetson_image
from tests.containers.podman import ROOT, Podman


@pytest.fixture(scope="module", params=TENSORRT)
def image(request: pytest.FixtureRequest, podman: Podman, build: Build) -> str:
    return jetson_image(build, podman.base, str(request.param))


def test_it_knows_its_tensorrt_and_says_that_no_gpu_is_there(podman: Podman, image: str) -> None:
    with podman.volume() as plans:
        options = ("--env=EDGEVLM_OPEN_TO_NETWORK_WITHOUT_KEYS=yes", f"--volume={plans}:/cache")
        with podman.running(image, *options) as container:
            assert container.wait() == 78
            assert "CUDA finds no GPU here" in container.log
            assert "Traceback" not in container.log


def test_its_user_may_open_the_gpu_and_write_where_it_must(podman: Podman, image: str) -> None:
    code = "import os; print(os.getuid(), os.stat('/cache').st_uid, 44 in os.getgroups())"
    assert podman("run", "--rm", "--entrypoint=python3", image, "-c", code) == "10001 10001 True"


def test_a_bundle_is_exported_in_it(podman: Podman, image: str) -> None:
    """Exporting needs no GPU."""
    volume = f"--volume={ROOT / 'tests/data/golden/v2'}:/models:ro"
    arguments = ["/models/checkpoint", "/cache/tiny", "--vision-tower", "/models/clip", "--device", "jetpack6"]
    with podman.volume() as cache:
        options = ("--rm", "--read-only", f"--volume={cache}:/cache", volume)
        assert "fp16" in podman("run", *options, image, "export", *arguments)


def test_no_compiler_is_left(podman: Podman, image: str) -> None:
    code = "import shutil; print([name for name in ('gcc', 'cc', 'make', 'pip', 'nvcc') if shutil.which(name)])"
    assert podman("run", "--rm", "--entrypoint=python3", image, "-c", code) == "[]"
