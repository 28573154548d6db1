"""Writes the tables of commands and options into their page: `python -m tests.docs.tables`. Knows no server."""

import re
from collections.abc import Iterator
from dataclasses import fields

from edgevlm_engines import size_text
from edgevlm_server.settings import OPTIONS, Settings, flag, variable

from edgevlm.cli import COMMANDS
from tests.boundaries.walls import ROOT

PAGE = ROOT / "docs/operation.md"
DEFAULT = re.compile(r" \(default: (.*)\)$")


def with_tables(page: str) -> str:
    """The page with its tables made anew."""
    for name, rows in (("commands", _commands()), ("options", _options())):
        begin, end = f"<!-- {name}, made by `python -m tests.docs.tables` -->\n", "<!-- end -->"
        before, found, rest = page.partition(begin)
        assert found, begin
        page = before + begin + "".join(f"| {' | '.join(row)} |\n" for row in rows) + end + rest.partition(end)[2]
    return page


def _commands() -> Iterator[tuple[str, ...]]:
    yield "command", "what it does"
    yield "---", "---"
    for name, command in COMMANDS.items():
        yield f"`edgevlm {name}`", command.help


def _options() -> Iterator[tuple[str, ...]]:
    yield "option", "variable", "default", "what it sets"
    yield "---", "---", "---", "---"
    for field in fields(Settings):
        option = OPTIONS[field.name]
        # where a default needs words, the help has them
        default = " ".join(DEFAULT.findall(option.help)) or _shown(field.default, option.metavar)
        yield f"`{flag(field.name)}`", f"`{variable(field.name)}`", default, DEFAULT.sub("", option.help)


def _shown(default: object, metavar: str | None) -> str:
    if default is None:
        return "none"
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, float):
        return f"{default:g}"
    return size_text(default) if metavar == "SIZE" and isinstance(default, int) else str(default)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
