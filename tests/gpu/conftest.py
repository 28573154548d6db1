"""Models of a column, loaded as the product loads them: on a GPU, or rehearsing on the CPU and on stand-ins."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from edgevlm_server.model import Model, load_model
from edgevlm_server.settings import Settings

from edgevlm.demo_bundle import demo_bundle
from edgevlm.own_server import own_server
from edgevlm.plans import ensure_plans
from tests.conftest import CASES, Once
from tests.gpu.columns import COLUMNS, Column
from tests.live import LiveServer
from tests.tensorrt.jetsons import JETSONS
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
    """TensorRT decodes with CUDA graphs and without."""
    if "loaded" in metafunc.fixturenames:
        trt = COLUMNS[metafunc.config.getoption("column")].engine == "trt"
        ways = ("graphs", "no graphs") if trt else ("",)
        which = [(case, way) for case in CASES for way in ways]
        metafunc.parametrize("loaded", which, ids=lambda one: " ".join(one).strip(), indirect=True, scope="module")


@pytest.fixture(scope="session")
def shared_folder(pytestconfig: pytest.Config) -> Path:
    """Of all processes of one run."""
    folder: Path = pytestconfig.getoption("work")
    return folder


@pytest.fixture(scope="session", autouse=True)
def machine(pytestconfig: pytest.Config) -> Iterator[None]:
    """Rehearsing, stand-ins for TensorRT and CUDA take the place of what may be installed."""
    if not pytestconfig.getoption("rehearse"):
        yield
        return
    name = pytestconfig.getoption("column")
    version = JETSONS[COLUMNS[name].rehearsal] if name and COLUMNS[name].engine == "trt" else "10.16.0"
    with installed(version) as standin:
        yield
        standin.check_released()


@pytest.fixture(scope="session")
def column(pytestconfig: pytest.Config) -> Column:
    chosen = COLUMNS[pytestconfig.getoption("column")]
    return chosen._replace(device=chosen.rehearsal) if pytestconfig.getoption("rehearse") else chosen


@pytest.fixture(scope="session")
def load(
    column: Column, bundles: Callable[[str], Path], jetson_bundles: Callable[[str, str], Path]
) -> Callable[[str, bool], Model]:
    """Loads a golden case's model, with or without CUDA graphs."""

    def loaded(case: str, graphs: bool) -> Model:
        folder = bundles(case) if column.device == "cpu" else jetson_bundles(case, column.device)
        settings = Settings(
            max_batch=SLOTS, max_length=LENGTH, image_cache=0, prefix_cache=0, max_queue=0, no_cuda_graphs=not graphs
        )
        return load_model(folder, settings, prepare=ensure_plans)

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
    cache = once(f"demo-{column.device}", lambda folder: demo_bundle(folder, column.device))
    folder = demo_bundle(cache, column.device)

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
