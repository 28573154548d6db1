"""What tests of documents share: the pages, and how to find commands, tables and paths in them."""

import argparse
import os
import re
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from edgevlm.cli import COMMANDS
from tests.boundaries.walls import ROOT

SKIPPED = {".venv", ".git", "build", "dist", "node_modules", "runs", "bundles"}
FOLDERS = r"server|engines|export|edgevlm|edgevlm_\w+|demo|benchmarks|docker|helm|tests|docs|examples"
PATH = re.compile(rf"(?:(?:{FOLDERS})/|\.ci/|\.github/)[\w./-]*")


def pages() -> list[Path]:
    """Every Markdown file of the repository."""
    found: list[Path] = []
    for folder, folders, files in os.walk(ROOT):
        # an environment has a hundred times the files of the repository
        folders[:] = [name for name in folders if name not in SKIPPED]
        found += [Path(folder, name) for name in files if name.endswith(".md")]
    assert len(found) > 40
    return sorted(found)


def read(name: str) -> str:
    """The text of a page, by its path from the root."""
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands below a heading of the second level."""
    _, found, rest = text.partition(f"\n## {heading}\n")
    assert found, heading
    return rest.partition("\n## ")[0]


def blocks(text: str, language: str) -> list[str]:
    """The contents of fenced blocks, also of those that are indented."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def commands(text: str) -> list[list[str]]:
    """The words of every command line in blocks of shell."""
    lines = [line for block in blocks(text, "sh") for line in block.splitlines() if line.strip()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def table(text: str) -> list[list[str]]:
    """Cells of the first table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    assert len(cells) > 2
    return cells[2:]


def code(text: str) -> list[str]:
    """Everything in backticks outside of blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE))


def check_command(words: list[str]) -> None:
    """Fail unless a command line names what exists: a subcommand and its options, a make target, a module, a test."""
    program, *arguments = words
    if Path(program).name == "edgevlm":
        _check_edgevlm(arguments)
    elif program == "make":
        names = {word.partition("=")[0] for word in arguments}
        assert names & targets() and names <= targets() | variables(), words
    elif Path(program).name == "python" and arguments[:1] == ["-m"]:
        assert arguments[1] in ("venv", "pip") or find_spec(arguments[1]), words
    elif program == "pytest":
        for name in arguments:
            assert name.startswith("-") or _is_test(name), words
    elif program.endswith(".sh") or program.startswith("."):
        assert (ROOT / program).exists() or program == ".", words


def variables() -> set[str]:
    """What may be set on make's command line."""
    return set(re.findall(r"\$\(or \$\((\w+)\)", read("Makefile")))


def targets() -> set[str]:
    """What `make` can be asked for by name."""
    return set(re.findall(r"^([a-z][\w-]*):", read("Makefile"), re.MULTILINE))


def _check_edgevlm(arguments: list[str]) -> None:
    command, *rest = arguments
    if command == "--version":
        return
    parser = argparse.ArgumentParser(exit_on_error=False)
    import_module(COMMANDS[command].module).add_arguments(parser)
    parser.parse_args(rest)


def _is_test(name: str) -> bool:
    path, _, function = name.partition("::")
    file = ROOT / path
    return file.exists() and (not function or f"def {function}(" in file.read_text(encoding="utf-8"))
