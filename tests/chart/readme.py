"""Writes the table of values into the chart's README: `python -m tests.chart.readme`. Knows values.yaml, not Helm."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

CHART = Path(__file__).parents[2] / "helm/edgevlm"
BEGIN, END = "<!-- made by `python -m tests.chart.readme` -->\n", "<!-- end -->"
LEAVES = ("resources",)
"""Mappings that are one value, because Kubernetes and not the chart says what is in them."""

KEY = re.compile(r"(?P<indent> *)(?P<name>[A-Za-z]+):.*")


class Value(NamedTuple):
    """A dotted name, what the comment above it says, and the default as JSON; `None` for a group of values."""

    name: str
    comment: str
    default: str | None


def values(text: str) -> Iterator[Value]:
    """Every value and group of a values file, in its order."""
    defaults = yaml.safe_load(text)
    path: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        if line.strip().startswith("#"):
            comment.append(line.strip().removeprefix("#").strip())
        elif found := KEY.fullmatch(line):
            path = [*path[: len(found["indent"]) // 2], found["name"]]
            if path[0] not in LEAVES or len(path) == 1:
                yield Value(".".join(path), " ".join(comment), _default(defaults, path))
            comment = []
        else:
            comment = []


def _default(defaults: dict[str, Any], path: list[str]) -> str | None:
    value: Any = defaults
    for name in path:
        value = value[name]
    is_group = isinstance(value, dict) and value and path[0] not in LEAVES
    return None if is_group else json.dumps(value)


def table(text: str) -> str:
    """The values as a table in Markdown; a group is a row if it has a comment of its own."""
    rows = ["| value | default | |", "|---|---|---|"]
    for value in values(text):
        if value.default is not None:
            rows.append(f"| `{value.name}` | `{value.default}` | {value.comment} |")
        elif value.comment:
            rows.append(f"| `{value.name}` | | {value.comment} |")
    return "\n".join(rows) + "\n"


def with_table(readme: str, text: str) -> str:
    """The README with its table made anew."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table(text)}{END}{after}"


if __name__ == "__main__":
    README = CHART / "README.md"
    README.write_text(with_table(README.read_text(), (CHART / "values.yaml").read_text()))
