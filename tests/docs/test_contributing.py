"""CONTRIBUTING.md, CI's workflow and the hooks before a commit: what they run is what the Makefile runs."""

import os
import re
from typing import Any

import pytest
import tomli
import yaml

from tests.boundaries.walls import ROOMS, ROOT
from tests.docs.pages import check_command, code, read, section, targets

TEXT = read("CONTRIBUTING.md")
WORKFLOW: dict[str, Any] = yaml.safe_load(read(".github/workflows/ci.yml"))
HOOKS: dict[str, Any] = yaml.safe_load(read(".pre-commit-config.yaml"))
PROJECT: dict[str, Any] = tomli.loads(read("pyproject.toml"))["project"]
STEPS = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("command", [text for text in code(TEXT) if text.split()[0] in ("make", "pytest", "python")])
def test_commands_of_the_text_can_be_given(command: str) -> None:
    check_command(command.split())


def test_names_of_the_text_are_in_the_code() -> None:
    names = {text for text in code(section(TEXT, "Where things go")) if re.fullmatch(r"[A-Za-z_]{4,}", text)}
    assert {"KEYED", "Engine", "DecoderParts", "PARTS"} <= names
    folders = [*ROOMS.values(), ROOT / "tests"]
    words = {
        word for folder in folders for path in folder.rglob("*.py") for word in re.findall(r"\w+", path.read_text())
    }
    values = set(re.findall(r"^(\w+):", read("helm/edgevlm/values.yaml"), re.MULTILINE))
    assert names <= words | values, names - words


def test_hooks_run_lines_of_the_makefile() -> None:
    lines = [line.strip().replace("$(BIN)", ".venv/bin") for line in read("Makefile").splitlines()]
    entries = [hook["entry"] for repository in HOOKS["repos"] for hook in repository["hooks"]]
    assert len(entries) == 3 and set(entries) <= set(lines)


def test_hooks_download_nothing() -> None:
    assert [repository["repo"] for repository in HOOKS["repos"]] == ["local"]
    assert {hook["language"] for hook in HOOKS["repos"][0]["hooks"]} == {"system"}


def test_ci_runs_what_a_person_runs() -> None:
    commands = [step["run"] for step in STEPS if "run" in step and not step["run"].startswith("apt-get")]
    assert commands == ["make quick", ".ci/run"]
    assert "quick" in targets()
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_actions_are_pinned() -> None:
    actions = {step["uses"] for step in STEPS if "uses" in step}
    assert actions and all(re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", action) for action in actions)


def test_ci_tries_every_python_that_is_promised() -> None:
    tried = WORKFLOW["jobs"]["quick"]["strategy"]["matrix"]["python"]
    prefix = "Programming Language :: Python :: 3."
    promised = [one.rpartition(" ")[2] for one in PROJECT["classifiers"] if one.startswith(prefix)]
    least, most = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups()  # type: ignore[union-attr]
    assert tried == promised == [f"3.{minor}" for minor in range(int(least), int(most))]
