"""What an installation holds: all five packages, their type marks, the demo model and the pages; no training code."""

import ast
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from edgevlm_server.http.static import FILES

from tests.boundaries.walls import NOT_INSTALLED, ROOMS, ROOT


@pytest.mark.slow
def test_the_wheel_is_complete(tmp_path: Path) -> None:
    # setuptools builds in the source tree, and what it leaves there would be in the next wheel
    unwanted = shutil.ignore_patterns(".*", "build", "*.egg-info", "tests", "__pycache__")
    source = shutil.copytree(ROOT, tmp_path / "source", ignore=unwanted)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(tmp_path),
        str(source),
    ]
    subprocess.run(command, check=True)
    [wheel] = tmp_path.glob("edgevlm-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        imported = {module for name in names if name.endswith(".py") for module in _imports(archive.read(name))}
    assert "onnxruntime" in imported and "torch" not in imported
    assert not [name for name in names if "training" in name]
    for room, folder in ROOMS.items():
        if room in NOT_INSTALLED:
            continue
        copied = Path(source) / folder.relative_to(ROOT)
        expected = {f"{room}/{path.relative_to(copied).as_posix()}" for path in copied.rglob("*.py")}
        assert expected <= names
        assert f"{room}/py.typed" in names
    for name in (
        "checkpoint/pytorch_model.bin",
        "checkpoint/tokenizer.model",
        "clip/config.json",
        "fonts/roboto-500.woff",
    ):
        assert f"edgevlm_demo/{name}" in names
    for name in ("docs.html", "docs.css", "docs.js"):
        assert f"edgevlm_server/docs/{name}" in names
    for file in FILES.iterdir():
        assert f"edgevlm_server/page/{file.name}" in names
    assert not [name for name in names if name.startswith(("tests/", "server/", "engines/"))]


def _imports(source: bytes) -> Iterator[str]:
    """The libraries that a file names, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]
