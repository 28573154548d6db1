"""How each image is built on a base that stands in for its registry's. Runs nothing of them."""

from collections.abc import Callable
from pathlib import Path

from tests.containers.podman import ROOT

COMMIT = "c0ffee" * 6 + "cafe"
"""Of the image; the tests' own, so that layers of another commit serve again."""

TENSORRT = {"jp6": "10.3.0", "jp7": "10.16.0"}
"""Versions that the images for Jetsons are made for."""

Build = Callable[..., str]
"""`Podman.build`."""


def cpu_image(build: Build, base: str) -> str:
    return build("cpu", ROOT / "docker/cpu.Dockerfile", ROOT, BASE_IMAGE=base, COMMIT=COMMIT)


def jetson_image(build: Build, base: str, name: str) -> str:
    """The layers that are ours, on NVIDIA's file names alone."""
    standin = Path(__file__).with_name("standin.Dockerfile")
    tensorrt = build(f"standin-{name}", standin, standin.parent, BASE_IMAGE=base, VERSION=TENSORRT[name])
    # Debian has no TensorRT to install, and the release of Python is not a Jetson's
    bases = {
        "jp6": {"TENSORRT_IMAGE": tensorrt, "BASE_IMAGE": base},
        "jp7": {"BASE_IMAGE": tensorrt, "TENSORRT_PACKAGES": ""},
    }
    return build(f"jetson-{name}", ROOT / f"docker/jetson-{name}.Dockerfile", ROOT, **bases[name])
