"""The README's commands run, its links lead somewhere, and its claims about routes and options hold."""

import argparse
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from edgevlm_server.http.app import KEYED, probes
from fastapi.routing import APIRoute

from edgevlm.cli import COMMANDS
from tests.live import LiveServer

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *("README.md", "SECURITY.md", "CHANGELOG.md", "LOG.md"),
    *("demo/README.md", "docs/site.md", "examples/README.md", "helm/edgevlm/README.md"),
]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert found
    return [str(block) for block in found]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files(document: str) -> None:
    path = ROOT / document
    for link in re.findall(r"\]\((?!https?://)([^)#]+)\)", path.read_text()):
        assert (path.parent / link).exists(), link


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^make (\w+)", "\n".join(blocks("sh")), re.MULTILINE)
    assert set(targets) == {"run", "test"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    assert "make test" in (ROOT / ".ci/run").read_text()


def test_every_edgevlm_command_line_can_be_parsed() -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if "edgevlm" in line.split(" ")[0]]
    assert {shlex.split(line)[1] for line in lines} == {"ask", "export", "build", "serve", "keys", "doctor"}
    for line in lines:
        _, command, *arguments = shlex.split(line)
        parser = argparse.ArgumentParser(exit_on_error=False)
        import_module(COMMANDS[command].module).add_arguments(parser)
        parser.parse_args(arguments)


def test_the_curl_lines_get_an_answer(demo: LiveServer) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("curl")]
    chat, form = (shlex.split(line.replace("http://127.0.0.1:8000", demo.url)) for line in lines)
    answers = [
        subprocess.run([*command, "--silent"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for command in (chat, form)
    ]
    assert '"finish_reason":"stop"' in answers[0] and '"amber"' in answers[0]
    assert answers[1].strip() == "amber"


def test_the_python_example_prints_the_answer_that_the_readme_shows(demo: LiveServer) -> None:
    [code] = blocks("python")
    code = code.replace("http://127.0.0.1:8000", demo.url)
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"`{result.stdout.strip()}`" in README


def test_the_route_table_is_complete() -> None:
    routers = (*KEYED, probes)
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    assert len(routes) > 15
    for route in routes:
        for method in (route.methods or set()) - {"HEAD"}:
            assert f"`{method} {route.path.replace(':path', '')}`" in README


def test_commands_are_mentioned() -> None:
    for command in COMMANDS:
        assert f"edgevlm {command}" in README or f"edgevlm-{command}" in README


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_there_for_every_command(command: str) -> None:
    result = subprocess.run([sys.executable, "-m", "edgevlm", command, "--help"], capture_output=True, text=True)
    assert result.returncode == 0
    assert COMMANDS[command].help[1:] in " ".join(result.stdout.split())
