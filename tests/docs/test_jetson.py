"""The page for Jetsons: its commands can be parsed and partly run, its table is printed, its messages exist."""

import argparse
import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import requires
from pathlib import Path

import pytest
from edgevlm_engines import read_manifest
from packaging.requirements import Requirement

from edgevlm.cli import COMMANDS
from edgevlm.doctor.advice import BINDINGS, PYTHONS
from tests.boundaries.walls import ROOMS, ROOT

PAGE = ROOT / "docs/jetson.md"
TEXT = PAGE.read_text(encoding="utf-8")
WAYS = ("executed", "stand-in", "table", "on paper", "not yet")
TABLE = re.compile(r"<!-- edgevlm doctor --ceilings -->\n(.*?)<!-- end -->", re.DOTALL)


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def rows(heading: str) -> list[list[str]]:
    """Cells of the first table below a heading, without its head."""
    lines = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0].splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert len(table) > 3
    return table[2:]


def test_every_edgevlm_command_can_be_parsed() -> None:
    ours = [words[1:] for words in commands() if Path(words[0]).name == "edgevlm"]
    assert {words[0] for words in ours} == {"doctor", "export", "build", "serve", "eval"}
    for command, *arguments in ours:
        parser = argparse.ArgumentParser(exit_on_error=False)
        import_module(COMMANDS[command].module).add_arguments(parser)
        parser.parse_args(arguments)


@pytest.mark.slow
def test_the_export_of_the_demo_runs(tmp_path: Path) -> None:
    [words] = [words for words in commands() if "bundles/demo" in words and "export" in words]
    arguments = [str(tmp_path / "demo") if word == "bundles/demo" else word for word in words[1:]]
    subprocess.run([sys.executable, "-m", "edgevlm", *arguments], cwd=ROOT, capture_output=True, check=True)
    assert read_manifest(tmp_path / "demo").flavour == "trt-split"


def test_the_script_takes_the_options_that_are_named() -> None:
    script = (ROOT / "benchmarks/on_device.sh").read_text()
    [words] = [words for words in commands() if words[0] == "benchmarks/on_device.sh"]
    section = TEXT.partition("## Send us figures")[2].partition("\n## ")[0]
    for option in {*words[1::2], *re.findall(r"--[a-z]+", section)}:
        assert option in script


@pytest.mark.slow
def test_the_table_of_ceilings_is_the_one_that_is_printed() -> None:
    command = [sys.executable, "-m", "edgevlm", "doctor", "--ceilings"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = TABLE.search(TEXT)
    assert found and found[1] == printed


def test_links_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in re.findall(r"^#+ (.+)$", TEXT, re.M)
    }
    for link in re.findall(r"\]\((?!https?://)([^)]+)\)", TEXT):
        path, _, anchor = link.partition("#")
        assert not path or (PAGE.parent / path).exists(), link
        assert not anchor or anchor in headings, link


def messages() -> Iterator[str]:
    """Every text in the code of the product."""
    for folder in ROOMS.values():
        for path in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


@pytest.mark.slow
def test_the_messages_are_those_of_the_code() -> None:
    texts = list(messages())
    quoted = [re.fullmatch(r"`(.+)`", row[0]) for row in rows("Errors and what to do")]
    found = [match[1] for match in quoted if match]
    assert len(found) >= 8
    for text in found:
        assert any(text in other for other in texts), text


def test_every_claim_says_how_it_was_checked() -> None:
    for claim, way, on_arm, on_gpu in rows("Checked how"):
        assert way.startswith(WAYS), claim
        assert on_arm == "" or on_arm.startswith("executed"), claim
        assert "Orin" not in on_gpu and "Jetson" not in on_gpu, claim


@pytest.mark.parametrize(("python", "major"), [("3.10", 12), ("3.12", 13)])
def test_the_extra_has_the_bindings_of_each_jetpack(python: str, major: int) -> None:
    """What doctor advises to install, the extra allows, and the page names."""
    environment = {"python_version": python, "python_full_version": f"{python}.1", "extra": "jetson"}
    found = [Requirement(text) for text in requires("edgevlm") or ()]
    [chosen] = [
        one for one in found if one.marker and one.name.startswith("cuda") and one.marker.evaluate(environment)
    ]
    name, version = BINDINGS[major].split("==")
    assert python in PYTHONS.values()
    assert chosen.name == name and chosen.specifier.contains(version)
    [line] = [line for line in TEXT.splitlines() if line.startswith("| CUDA for Python")]
    pins = re.findall(r"`([^`]+)`", line)
    assert any(Requirement(pin).name == name and Requirement(pin).specifier == chosen.specifier for pin in pins)
