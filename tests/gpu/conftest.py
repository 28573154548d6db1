"""Models of a column, loaded as the product loads them: on a GPU, or rehearsing on the CPU and on stand-ins."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from edgevlm_engines import read_manifest
from edgevlm_export.bundle_writer import write_manifest
from edgevlm_server.model import Model, load_model
from edgevlm_server.settings import Settings

from edgevlm.demo_bundle import demo_bundle
from edgevlm.own_server import own_server
from edgevlm.plans import ensure_plans
from tests.conftest import CASES, Once
from tests.gpu.columns import COLUMNS, REHEARSED, Column
from tests.live import LiveServer
from tests.tensorrt.jetsons import RTX
from tests.tensorrt.standin import installed

SLOTS, LENGTH = 4, 400

Note = Callable[[str], None]


class Loaded(NamedTuple):
    """A golden case's model."""

    case: str
    model: Model


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Outside of `python -m tests.gpu` there is nothing here."""
    return None if config.pluginmanager.has_plugin("tests.gpu.plugin") else True


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """TensorRT decodes with CUDA graphs, one case without, to see that they are the same steps."""
    if "loaded" in metafunc.fixturenames:
        trt = COLUMNS[metafunc.config.getoption("column")].on_tensorrt
        which = [(case, "graphs" if trt else "") for case in CASES] + [("v2", "no graphs")] * trt
        metafunc.parametrize("loaded", which, ids=lambda one: " ".join(one).strip(), indirect=True, scope="module")


@pytest.fixture(scope="session")
def shared_folder(pytestconfig: pytest.Config) -> Path:
    """Of all processes of one run."""
    folder: Path = pytestconfig.getoption("work")
    return folder


@pytest.fixture(scope="session", autouse=True)
def machine(pytestconfig: pytest.Config) -> Iterator[None]:
    """Rehearsing, stand-ins for TensorRT-RTX and CUDA take the place of what may be installed."""
    if not pytestconfig.getoption("rehearse"):
        yield
        return
    with installed(RTX["rtx"]) as standin:
        yield
        standin.check_released()


@pytest.fixture(scope="session")
def column(pytestconfig: pytest.Config) -> Column:
    columns = REHEARSED if pytestconfig.getoption("rehearse") else COLUMNS
    return columns[pytestconfig.getoption("column")]


@pytest.fixture(scope="session")
def split_bundle(once: Once, device_bundles: Callable[[str, str], Path]) -> Callable[[str], Path]:
    """A golden case's graphs for JetPack 6, in a bundle that says it is for TensorRT-RTX."""
    return lambda case: once(f"split-{case}", lambda folder: for_rtx(device_bundles(case, "jetpack6"), folder))


def for_rtx(bundle: Path, copy: Path) -> None:
    shutil.copytree(bundle, copy)
    manifest = read_manifest(bundle).model_copy(update={"device": "rtx"})
    write_manifest(copy, manifest)


@pytest.fixture(scope="session")
def bundle_of(
    column: Column,
    bundles: Callable[[str], Path],
    device_bundles: Callable[[str, str], Path],
    split_bundle: Callable[[str], Path],
) -> Callable[[str], Path]:
    """A golden case's bundle."""
    if column.device == "cpu":
        return bundles
    if column.device != column.exported:
        return split_bundle
    return lambda case: device_bundles(case, column.device)


@pytest.fixture(scope="session")
def load(bundle_of: Callable[[str], Path]) -> Callable[[str, bool], Model]:
    """Loads a golden case's model, with or without CUDA graphs."""

    def loaded(case: str, graphs: bool) -> Model:
        settings = Settings(
            max_batch=SLOTS, max_length=LENGTH, image_cache=0, prefix_cache=0, max_queue=0, no_cuda_graphs=not graphs
        )
        return load_model(bundle_of(case), settings, prepare=ensure_plans)

    return loaded


@pytest.fixture(scope="module")
def loaded(request: pytest.FixtureRequest, load: Callable[[str, bool], Model]) -> Iterator[Loaded]:
    case, way = request.param
    model = load(case, way != "no graphs")
    yield Loaded(case, model)
    model.engine.close()


@pytest.fixture(scope="session")
def demo_server(column: Column, once: Once, pytestconfig: pytest.Config) -> Callable[[], AbstractContextManager[str]]:
    """Starts a server on the demo model and gives its address: a process, and in a rehearsal a thread."""
    exported = column.exported
    folder = demo_bundle(once(f"demo-{exported}", lambda cache: demo_bundle(cache, exported)), exported)
    if column.device != exported:
        original = folder
        folder = once("demo-split", lambda copy: for_rtx(original, copy))

    @contextmanager
    def threaded() -> Iterator[str]:
        settings = Settings(max_batch=8)
        server = LiveServer(lambda: load_model(folder, settings, prepare=ensure_plans), settings)
        with server:
            yield server.url

    if pytestconfig.getoption("rehearse"):
        return threaded
    return lambda: own_server(folder, ["--max-batch", "8"])


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Note:
    """A line below the table."""
    return lambda text: record_property("note", text)
