"""The version is pyproject.toml's; whatever else names one, names that."""

import re
from pathlib import Path

import pytest
import tomli

ROOT = Path(__file__).parents[2]
VERSION: str = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
NUMBER = r"(\d+\.\d+\.\d+)"


@pytest.mark.parametrize(
    ("file", "pattern", "count"),
    [
        ("helm/edgevlm/Chart.yaml", rf"^version: {NUMBER}$", 1),
        ("helm/edgevlm/Chart.yaml", rf'^appVersion: "{NUMBER}"$', 1),
        ("helm/edgevlm/values.yaml", rf"\b{NUMBER}-(?:cpu|jetson)", 1),
        ("helm/edgevlm/README.md", rf"\b{NUMBER}-(?:cpu|jetson)", 3),
        *(
            (f"docker/{name}.Dockerfile", rf'image\.version="{NUMBER}"', 1)
            for name in ("cpu", "jetson-jp6", "jetson-jp7")
        ),
    ],
)
def test_files_name_this_version(file: str, pattern: str, count: int) -> None:
    assert re.findall(pattern, (ROOT / file).read_text(), re.MULTILINE) == [VERSION] * count


def test_the_newest_entry_of_the_changelog_is_this_version() -> None:
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None and newest[1] == VERSION
