"""How panels of the dashboard are described, and the expressions that many of them share. Knows no Grafana."""

from typing import NamedTuple


class Panel(NamedTuple):
    """`lines` are pairs of a legend and an expression; `kind` and `unit` are Grafana's words."""

    title: str
    text: str
    lines: list[tuple[str, str]]
    unit: str = "short"
    kind: str = "timeseries"
    stacked: bool = False


class Row(NamedTuple):
    title: str
    panels: list[Panel]
    folded: bool = False


HERE = '{job=~"$job", instance=~"$instance"}'
"""The servers that are chosen."""


def here(name: str, more: str = "") -> str:
    """A metric of the servers that are chosen."""
    return name + (HERE[:-1] + f", {more}}}" if more else HERE)


def per_second(name: str, by: str = "instance", more: str = "") -> str:
    return f"sum by ({by}) (rate({here(name, more)}[$__rate_interval]))"


def risen(name: str, by: str) -> str:
    return f"sum by ({by}) (increase({here(name)}[$__rate_interval]))"


def quantile(share: float, name: str) -> str:
    return f"histogram_quantile({share}, {per_second(f'{name}_bucket', 'instance, le')})"


def mean(name: str, by: str = "instance") -> str:
    return f"{per_second(f'{name}_sum', by)} / ({per_second(f'{name}_count', by)} > 0)"


def middle_and_slow(name: str) -> list[tuple[str, str]]:
    return [("{{instance}} half", quantile(0.5, name)), ("{{instance}} 95 of 100", quantile(0.95, name))]


def share(part: str, whole: str) -> str:
    return f"{per_second(part)} / ({per_second(whole)} > 0)"


def used(name: str, limit: str) -> list[tuple[str, str]]:
    return [("{{instance}}", here(name)), ("{{instance}} limit", here(limit))]
