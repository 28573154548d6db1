"""What an expression of PromQL reads: names of metrics, labels and values. Knows no dashboard, no server."""

import re
from collections.abc import Iterator
from typing import NamedTuple

NAME = re.compile(r"(?<![\w\"$:])((?:edgevlm|process)[\w:]*|up)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPED = re.compile(r"\b(?:by|on) \(([^)]*)\)")

ADDED = {"job", "instance"}
"""Labels that Prometheus itself adds."""


class Read(NamedTuple):
    """One metric, and what of its labels an expression asks for."""

    name: str
    matchers: list[tuple[str, str, str]]


def reads(expression: str) -> Iterator[Read]:
    """Every metric that is read."""
    # names of labels stand in groups, and one may look like a metric's
    for name, matchers in NAME.findall(GROUPED.sub("", expression)):
        yield Read(name, MATCHER.findall(matchers))


def grouped(expression: str) -> set[str]:
    """Labels by which it groups or joins, without those that Prometheus adds."""
    return {label.strip() for group in GROUPED.findall(expression) for label in group.split(",")} - ADDED


Series = dict[str, list[dict[str, str]]]
"""Of each metric the labels of every series."""


def series(text: str) -> Series:
    """What /metrics has."""
    found: Series = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels = re.match(r"([\w:]+)(?:\{(.*)\})? ", line).groups()  # type: ignore[union-attr]
            found.setdefault(name, []).append(dict(re.findall(r'(\w+)="([^"]*)"', labels or "")))
    return found


def wrong(expression: str, known: Series, recorded: dict[str, str]) -> Iterator[str]:
    """What it asks for that is not there; `recorded` are rules by their names, which may be read too."""
    labels: set[str] = set()
    for read in reads(expression):
        if read.name == "up":
            continue
        if read.name in recorded:
            labels |= grouped(recorded[read.name])
            continue
        if read.name not in known:
            yield f"there is no metric {read.name}"
            continue
        there = known[read.name]
        labels |= {label for one in there for label in one}
        for label, operator, value in read.matchers:
            if label not in ADDED and operator in ("=", "=~"):
                wanted = re.compile(value if operator == "=~" else re.escape(value))
                if not any(wanted.fullmatch(one.get(label, "")) for one in there):
                    yield f"no series of {read.name} has {label}{operator}{value}"
    yield from (f"nothing here has the label {label}" for label in grouped(expression) - labels)
