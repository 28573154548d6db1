"""The chart's README and examples: their commands are ones that Helm and edgevlm take."""

import argparse
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgevlm.cli import COMMANDS
from tests.chart.helm import EXAMPLES, Helm, one
from tests.chart.readme import CHART

ROOT = CHART.parents[1]
DOCUMENTS = (CHART / "README.md", *sorted(EXAMPLES.glob("*.yaml")))


def commands(path: Path) -> list[list[str]]:
    """Command lines in fenced blocks of Markdown, or in the comment at the head of an example."""
    text = path.read_text()
    if path.suffix == ".md":
        lines = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)).splitlines()
    else:
        lines = [line.removeprefix("#   ") for line in text.splitlines() if line.startswith("#   ")]
    return [shlex.split(part) for line in lines if line for part in line.split(" && ")]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_each_shows_how_to_install(helm: Helm, path: Path) -> None:
    installs = [line for line in commands(path) if line[:2] == ["helm", "install"]]
    assert installs
    for _, _, release, chart, *options in installs:
        assert (release, ROOT / chart) == ("edgevlm", CHART)
        assert one(helm.render(chosen(options), release=release), "StatefulSet")


def chosen(options: list[str]) -> dict[str, Any]:
    """The values of `--set a.b=c` and `--values FILE`."""
    values: dict[str, Any] = {}
    for option, value in zip(options[::2], options[1::2], strict=True):
        if option == "--values":
            values.update(yaml.safe_load((ROOT / value).read_text()))
            continue
        assert option == "--set"
        path, _, text = value.partition("=")
        inner = yaml.safe_load(text)
        for name in reversed(path.split(".")):
            inner = {name: inner}
        values.update(inner)
    return values


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_products_command_lines_can_be_parsed(path: Path) -> None:
    lines = [line for line in commands(path) if line[0] == "edgevlm"]
    assert lines
    for _, command, *arguments in lines:
        parser = argparse.ArgumentParser(exit_on_error=False)
        import_module(COMMANDS[command].module).add_arguments(parser)
        parser.parse_args(arguments)


def test_the_secrets_that_are_made_are_those_that_the_values_name(helm: Helm) -> None:
    for path in EXAMPLES.glob("*.yaml"):
        made = {line[4] for line in commands(path) if line[:4] == ["kubectl", "create", "secret", "generic"]}
        values = yaml.safe_load(path.read_text())
        named = {values["apiKeys"]["existingSecret"], values.get("serviceMonitor", {}).get("keySecret")}
        assert made == named - {None}
