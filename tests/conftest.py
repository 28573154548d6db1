"""What tests of several rooms share: golden cases, bundles made from them, and a server on a real socket."""

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from edgevlm_engines.names import Device
from edgevlm_export.exporter import export_bundle
from hypothesis import settings

from edgevlm.demo_bundle import demo_bundle
from tests.live import LiveServer

TESTS = Path(__file__).parent
GOLDEN = TESTS / "data" / "golden"
CASES = ("v1", "v2", "v2-headdim80-bf16")

MARKS = {
    "arm": "arm",
    "benchmarks/unseen/test_drawings.py": "tools",
    "page": "browser",
    "containers": "container",
    "chart": "tools",
    "clients": "tools",
    "gpu": "gpu",
    "monitoring/test_prometheus.py": "tools",
    "site": "tools",
    "tensorrt/test_api_conformance.py": "twin",
    "tensorrt/test_twin_traps.py": "twin",
    "tensorrt/test_twins.py": "twin",
}
"""What needs more than Python packages; pyproject.toml says what each mark stands for."""

settings.register_profile("full", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=12)
settings.load_profile("full")


def pytest_report_header(config: pytest.Config) -> str:
    given = config.pluginmanager.has_plugin("tests.gpu.plugin")
    return "" if given else "tests/gpu is left out: it needs an NVIDIA GPU, and `make gpu` runs it"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        path = item.path.relative_to(TESTS)
        for name in {path.as_posix(), path.parts[0]} & MARKS.keys():
            item.add_marker(MARKS[name])
            if MARKS[name] in ("arm", "container"):
                # images are built and programs emulated, and that counts for the first test that needs them
                item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session", autouse=True)
def patient() -> Iterator[None]:
    """A machine may be busy with other tests; a test of impatience says so itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgevlm_server.audit.audit.CLOSE_SECONDS", 60.0)
        patch.setattr("edgevlm_server.guided.compiler.SECONDS", 120.0)
        yield


@pytest.fixture(params=CASES)
def golden(request: pytest.FixtureRequest) -> Path:
    """Each golden case in turn."""
    return GOLDEN / str(request.param)


Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all workers of a run find what one of them has made."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"


@pytest.fixture(scope="session")
def once(shared_folder: Path) -> Once:
    """Folders that are made once in a run, by the worker that wants one first, and that nobody changes."""
    shared_folder.mkdir(parents=True, exist_ok=True)

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = shared_folder / name, shared_folder / f"{name}.done"
        with (shared_folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # a folder alone may be what a failure has left
            if not done.exists():
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def bundles(once: Once) -> Callable[[str], Path]:
    """The fp32 bundle of a golden case. Tests that change a bundle copy it first."""

    def bundle(case: str) -> Path:
        source = GOLDEN / case
        return once(
            case, lambda made: export_bundle(source / "checkpoint", made, vision_tower=source / "clip", name=case)
        )

    return bundle


@pytest.fixture(scope="session")
def device_bundles(once: Once) -> Callable[[str, str], Path]:
    """The fp16 bundle of a golden case for a device with a GPU."""

    def bundle(case: str, device: str) -> Path:
        def export(folder: Path) -> None:
            export_bundle(
                GOLDEN / case / "checkpoint",
                folder,
                vision_tower=GOLDEN / case / "clip",
                name=case,
                device=cast(Device, device),
                precision="fp16",
                vision_precision="fp16",
            )

        return once(f"{device}-{case}", export)

    return bundle


@pytest.fixture(scope="session")
def demo_model(once: Once) -> Path:
    """The demo model's bundle."""
    return demo_bundle(once("demo", demo_bundle))


@pytest.fixture(scope="module")
def echo_server(bundles: Callable[[str], Path]) -> Iterator[LiveServer]:
    """A server on the echo engine."""
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        yield server


@pytest.fixture(scope="module")
def demo(demo_model: Path) -> Iterator[LiveServer]:
    """A server on the demo model."""
    with LiveServer.on_bundle(demo_model) as server:
        yield server
