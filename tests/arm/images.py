"""The images for 64-bit Arm, built and run by podman through the same emulation, on a base from Debian's packages.

Built from nothing they take many minutes, so they are tried by `python -m tests.arm` alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tests.arm.checks import EXAMPLES, START_SECONDS, Row, ask, row
from tests.containers.images import TENSORRT, cpu_image, jetson_image
from tests.containers.podman import ROOT, Container, Podman, configure

OPEN = "--env=EDGEVLM_OPEN_TO_NETWORK_WITHOUT_KEYS=yes"
CANNOT_START = 78


def rows(folder: Path, cpu: str) -> Iterator[Row]:
    """Each image on one of qemu's processors. `folder` is for podman's settings and is thrown away."""
    configure(ROOT / ".venv" / "containers", folder)
    podman = Podman(folder, "arm64")
    podman.make_base()
    yield row("image for CPUs", _answers, podman, cpu)
    for name in TENSORRT:
        yield row(f"image for {name}, without TensorRT", _says_what_is_missing, podman, name, cpu)


def _answers(podman: Podman, cpu: str) -> str:
    with _running(podman, cpu_image(podman.build, podman.base), cpu) as container:
        container.until_ready(START_SECONDS)
        assert ask(container.url, EXAMPLES[1]) == EXAMPLES[1]["answer"]
        assert container.healthy()
    return f"{_architecture(podman, 'cpu')}: built, healthy, answers"


def _says_what_is_missing(podman: Podman, name: str, cpu: str) -> str:
    """Our layers on files with TensorRT's names: the server finds no GPU, and exporting needs none."""
    image = jetson_image(podman.build, podman.base, name)
    checkpoint = f"--volume={ROOT / 'tests/data/golden/v2'}:/models:ro"
    export = ["/models/checkpoint", "/cache/tiny", "--vision-tower", "/models/clip", "--device", f"jetpack{name[-1]}"]
    with podman.volume() as cache:
        mounted = f"--volume={cache}:/cache"
        with _running(podman, image, cpu, mounted) as container:
            assert container.wait() == CANNOT_START, container.log
            assert "CUDA finds no GPU here" in container.log, container.log
        options = ["--rm", "--read-only", *_emulated(cpu), mounted, checkpoint]
        assert "fp16" in podman("run", *options, image, "export", *export)
    return f"{_architecture(podman, f'jetson-{name}')}: built, exports, finds no GPU"


def _running(podman: Podman, image: str, cpu: str, *options: str) -> AbstractContextManager[Container]:
    return podman.running(image, OPEN, *_emulated(cpu), *options)


def _emulated(cpu: str) -> Sequence[str]:
    # ONNX Runtime crashes on another machine's description of processors
    return (f"--env=QEMU_CPU={cpu}", "--security-opt=mask=/sys/devices/system/cpu")


def _architecture(podman: Podman, name: str) -> str:
    return podman("image", "inspect", "--format={{.Architecture}}", f"localhost/edgevlm:{name}-arm64")
