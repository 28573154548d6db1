"""One server that is watched, for all tests of a file."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.monitoring.served import Watched, watched


@pytest.fixture(scope="module")
def server(bundles: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(bundles("v2"), tmp_path_factory.mktemp("watched")) as server:
        yield server
