"""A server on the demo model, and the folder in which Node finds its packages."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NODE = ROOT / "build/node"


@pytest.fixture
def beside_packages() -> Iterator[Path]:
    """Node looks for packages in the folders above a script, so a script to be run is copied here."""
    assert (NODE / "installed.json").exists(), "Node's packages are missing: tests/install_tools installs them"
    folder = Path(tempfile.mkdtemp(dir=NODE))
    yield folder
    shutil.rmtree(folder)
