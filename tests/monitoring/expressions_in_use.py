"""Every expression of the dashboard and of the rules, from their files. Knows no server."""

import json
from typing import Any, NamedTuple

import yaml

from tests.boundaries.walls import ROOT
from tests.monitoring.dashboard import FILE

RULES_FILE = ROOT / "docker/monitoring/rules.yaml"

RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES_FILE.read_text())["groups"] for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDED: dict[str, str] = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}


class Used(NamedTuple):
    """An expression, and what it is for."""

    purpose: str
    expression: str


def in_rules() -> list[Used]:
    return [Used(rule.get("alert") or rule["record"], rule["expr"]) for rule in RULES]


def in_dashboard() -> list[Used]:
    """With what Grafana would put in for its variables."""
    panels = json.loads(FILE.read_text())["panels"]
    every = [inner for outer in panels for inner in (outer, *outer.get("panels", ()))]
    return [Used(one["title"], _filled(target["expr"])) for one in every for target in one.get("targets", ())]


def _filled(expression: str) -> str:
    for variable, value in {"$job": ".*", "$instance": ".*", "$__rate_interval": "10m"}.items():
        expression = expression.replace(variable, value)
    return expression
