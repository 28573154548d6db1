"""The bill of what is in an image: every package of its lock with every hash, and the licences of what is there."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
IMAGES = ("cpu", "jetson-jp6", "jetson-jp7")


def written(image: str, folder: Path, *options: str) -> dict[str, Any]:
    command: list[str | Path] = [sys.executable, "docker/sbom.py", *options, f"docker/locks/{image}.txt", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    made: dict[str, Any] = json.loads((folder / "sbom.cdx.json").read_text())
    return made


@pytest.mark.slow
@pytest.mark.parametrize("image", IMAGES)
def test_every_package_and_every_hash_of_the_lock_is_in_it(image: str, tmp_path: Path) -> None:
    bill = written(image, tmp_path)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    lock = (ROOT / f"docker/locks/{image}.txt").read_text()
    pinned = re.findall(r"^(\S+)==(\S+)", lock, re.MULTILINE)
    assert len(pinned) > 30
    assert [(one["name"], one["version"]) for one in bill["components"]] == pinned
    hashes = [digest["content"] for one in bill["components"] for digest in one["hashes"]]
    assert hashes == re.findall(r"sha256:([0-9a-f]{64})", lock)
    assert len({one["bom-ref"] for one in bill["components"]}) == len(pinned)


@pytest.mark.slow
def test_the_same_lock_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        written("cpu", tmp_path / name)
    for file in ("sbom.cdx.json", "licences.txt"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.slow
def test_what_is_installed_has_its_licence(tmp_path: Path) -> None:
    """Packages that say it in each of the ways there are, if the lock has them as they are here."""
    written("cpu", tmp_path)
    lines = dict(line.split(": ", 1) for line in (tmp_path / "licences.txt").read_text().splitlines())
    for name, licence in (
        ("fastapi", "MIT"),
        ("h11", "MIT License"),
        ("huggingface-hub", "Apache"),
        ("certifi", "MPL"),
    ):
        stated = lines.get(f"{name} {importlib.metadata.version(name)}", licence)
        assert licence in stated, name


@pytest.mark.parametrize("image", IMAGES)
def test_each_image_holds_its_own(image: str) -> None:
    dockerfile = (ROOT / f"docker/{image}.Dockerfile").read_text()
    assert f"sbom.py --system /docker/locks/{image}.txt /opt/edgevlm/share/sbom" in dockerfile
