"""Writes tables that the code knows into their pages: `python -m tests.docs.tables`. Knows no server."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields

from edgevlm_engines import size_text
from edgevlm_server.observe.device import COUNTERS, GAUGES, PREFIX
from edgevlm_server.observe.metrics import Metrics
from edgevlm_server.observe.record import RequestRecord
from edgevlm_server.settings import OPTIONS, Settings, flag, variable
from prometheus_client.metrics_core import Metric

from edgevlm.cli import COMMANDS
from tests.boundaries.walls import ROOT
from tests.docs.client_versions import clients
from tests.docs.request_fields import ignored, refused

DEFAULT = re.compile(r" \(default: (.*)\)$")


def with_tables(name: str, page: str) -> str:
    """The page of this name with its tables made anew."""
    for title, rows in PAGES[name].items():
        begin, end = f"<!-- {title}, made by `python -m tests.docs.tables` -->\n", "<!-- end -->"
        before, found, rest = page.partition(begin)
        assert found, begin
        page = before + begin + "".join(f"| {' | '.join(row)} |\n" for row in rows()) + end + rest.partition(end)[2]
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


def _device() -> Iterator[tuple[str, ...]]:
    yield "metric", "labels", "what it tells"
    yield "---", "---", "---"
    for families, suffix in ((GAUGES, ""), (COUNTERS, "_total")):
        for family in families:
            labels = ", ".join(f"`{label}`" for label in family.labels)
            yield f"`{PREFIX}{family.name}{suffix}`", labels, family.text


def _metrics() -> Iterator[tuple[str, ...]]:
    yield "metric", "type", "labels", "what it tells"
    yield "---", "---", "---", "---"
    for family in _families():
        suffix = "_total" if family.type == "counter" else ""
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        shown = ", ".join(f"`{label}`" for label in sorted(labels))
        yield f"`{family.name}{suffix}`", family.type, shown, family.documentation.replace("\n", " ")


def _families() -> Iterable[Metric]:
    """All that a server without a device has, each with a series at least, to show its labels."""
    metrics = Metrics(clients=True)
    metrics.model("", "", "", "")
    metrics.requests(RequestRecord(id="", method="GET", path="/", address=None, client=""))
    return metrics.collect()


def _shown(default: object, metavar: str | None) -> str:
    if default is None:
        return "none"
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, float):
        return f"{default:g}"
    return size_text(default) if metavar == "SIZE" and isinstance(default, int) else str(default)


PAGES: dict[str, dict[str, Callable[[], Iterator[tuple[str, ...]]]]] = {
    "docs/operation.md": {"commands": _commands, "options": _options, "metrics": _metrics, "device": _device},
    "docs/clients.md": {"ignored": ignored, "refused": refused, "clients": clients},
}
"""The tables of each page."""

if __name__ == "__main__":
    for name in PAGES:
        path = ROOT / name
        path.write_text(with_tables(name, path.read_text(encoding="utf-8")), encoding="utf-8")
