"""A new user: an empty home, a mirror in `HF_ENDPOINT`, and one command from nothing to an answer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import GOLDEN
from tests.hub.mirror import Mirror

PICTURE = GOLDEN / "v1" / "image.png"


def at_home(mirror: Mirror, folder: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        "HF_ENDPOINT": mirror.url,
        "HF_HOME": str(folder / "home" / "huggingface"),
        "XDG_CACHE_HOME": str(folder / "home"),
    }


@pytest.mark.slow
def test_one_command_goes_from_nothing_to_an_answer_and_the_next_needs_no_mirror(
    mirror: Mirror, tmp_path: Path
) -> None:
    environment = at_home(mirror, tmp_path)
    command = [sys.executable, "-m", "edgevlm", "ask", str(PICTURE), "What is it?", "--model", "MobileVLM-1.7B"]
    command += ["--max-tokens", "8"]
    first = subprocess.run(command, env=environment, check=True, capture_output=True)
    assert first.stdout.strip()
    asked = len(mirror.requests)
    offline = {**environment, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1"}
    assert subprocess.run(command, env=offline, check=True, capture_output=True).stdout == first.stdout
    assert len(mirror.requests) == asked


@pytest.mark.slow
def test_a_published_model_is_exported_by_its_name(mirror: Mirror, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    command = [sys.executable, "-m", "edgevlm", "export", "MobileVLM-1.7B", str(bundle)]
    exported = subprocess.run(command, env=at_home(mirror, tmp_path), check=True, capture_output=True, text=True)
    assert f"{bundle}: MobileVLM-1.7B, " in exported.stdout
    asked = len(mirror.requests)
    again = subprocess.run(command, env=at_home(mirror, tmp_path), capture_output=True, text=True)
    assert (again.returncode, again.stdout, len(mirror.requests)) == (1, "", asked), "nothing is fetched in vain"
