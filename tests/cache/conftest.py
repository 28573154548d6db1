"""A user's cache of the tests' own, with bundles of this version in it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgevlm.cli import main
from edgevlm.demo_bundle import demo_bundle

Run = Callable[..., str]


@pytest.fixture(scope="session")
def made_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model's bundle, which tests copy."""
    return demo_bundle(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("EDGEVLM_PLANS", raising=False)
    return tmp_path / "edgevlm"


@pytest.fixture
def demo(cache: Path, made_demo: Path) -> Path:
    return shutil.copytree(made_demo, cache / made_demo.name)


@pytest.fixture
def exported(cache: Path, bundles: Callable[[str], Path]) -> Path:
    """A bundle as `serve` makes one of a checkpoint."""
    return shutil.copytree(bundles("v2"), cache / "v2-0123456789abcdef")


@pytest.fixture
def run(cache: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """What the command prints."""

    def run(*arguments: str | Path, code: int = 0) -> str:
        assert main(["cache", *map(str, arguments)]) == code
        return capsys.readouterr().out

    return run


def lines(text: str) -> dict[str, list[str]]:
    """The cells of a table, by the first of each line."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {row[0]: row[1:] for row in rows[2:]}
