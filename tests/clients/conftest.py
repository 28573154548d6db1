"""The folder in which Node finds its packages, and the environment of the clients that have one of their own."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NODE = ROOT / "build/node"
CLIENTS = ROOT / "build/clients"

Script = Callable[..., dict[str, Any]]
"""Runs a script of this folder with its arguments, and returns the JSON that it prints."""


@pytest.fixture
def beside_packages() -> Iterator[Path]:
    """Node looks for packages in the folders above a script, so a script to be run is copied here."""
    assert (NODE / "installed.json").exists(), "Node's packages are missing: tests/install_tools installs them"
    folder = Path(tempfile.mkdtemp(dir=NODE))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def run_script() -> Script:
    assert (CLIENTS / "installed").exists(), "Client libraries are missing: tests/install_tools installs them"
    # LiteLLM would fetch its list of models from the internet
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}

    def run(name: str, *arguments: str | Path) -> dict[str, Any]:
        # isolated: this folder's modules and ours are not on its path
        command = [CLIENTS / "bin/python", "-I", ROOT / "tests/clients" / name, *arguments]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
        return found

    return run
