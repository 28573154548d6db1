"""Writes Grafana's dashboard from the panels: `python -m tests.monitoring.dashboard`. Knows no metric."""

import json
from collections.abc import Iterator
from typing import Any

from tests.boundaries.walls import ROOT
from tests.monitoring.around import CACHES, CERTAINTY, CLIENTS, DEVICE, PROCESS
from tests.monitoring.expressions import HERE, Panel, Row
from tests.monitoring.serving import GLANCE, LOAD, REQUESTS, SPEED

FILE = ROOT / "docker/monitoring/dashboard.json"

ROWS = (GLANCE, REQUESTS, LOAD, SPEED, CACHES, CERTAINTY, DEVICE, PROCESS, CLIENTS)

COLUMNS = 24
"""Of Grafana's grid."""
SIZES = {"stat": (3, 4), "timeseries": (8, 8)}
"""Width and height by kind of panel."""
SOURCE = {"type": "prometheus", "uid": "${source}"}


def dashboard() -> dict[str, Any]:
    """As Grafana imports it, in the schema of its version 10."""
    panels = list(_rows())
    for number, panel in enumerate([inner for outer in panels for inner in (outer, *outer.get("panels", ()))], 1):
        panel["id"] = number
    return {
        "uid": "edgevlm",
        "title": "edgevlm",
        "description": "Servers of MobileVLM: requests, load, speed, caches and devices.",
        "tags": ["edgevlm"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": list(_variables())},
        "annotations": {"list": [_restarts()]},
        "panels": panels,
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus", "refresh": 1}
    for name, query in {
        "job": "label_values(edgevlm_build_info, job)",
        "instance": 'label_values(edgevlm_build_info{job=~"$job"}, instance)',
    }.items():
        yield {
            "name": name,
            "type": "query",
            "datasource": SOURCE,
            "query": {"query": query, "refId": name},
            "definition": query,
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        }


def _restarts() -> dict[str, Any]:
    return {
        "name": "Starts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "orange",
        "expr": f"changes(edgevlm_uptime_seconds{HERE}[1m]) > 0 and edgevlm_uptime_seconds{HERE} < 60",
        "titleFormat": "{{instance}} started",
    }


def _rows() -> Iterator[dict[str, Any]]:
    top = 0
    for row in ROWS:
        panels, height = _placed(row, top + 1)
        made = {
            "type": "row",
            "title": row.title,
            "collapsed": row.folded,
            "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
            "panels": panels if row.folded else [],
        }
        yield made
        if not row.folded:
            yield from panels
        top += 1 + (0 if row.folded else height)


def _placed(row: Row, top: int) -> tuple[list[dict[str, Any]], int]:
    """Panels side by side, line after line; and how high they are together."""
    made, x, y, line = [], 0, 0, 0
    for panel in row.panels:
        width, height = SIZES[panel.kind]
        if x + width > COLUMNS:
            x, y, line = 0, y + line, 0
        line = max(line, height)
        made.append(_panel(panel, {"x": x, "y": top + y, "w": width, "h": height}))
        x += width
    return made, y + line


def _panel(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": SOURCE,
        "gridPos": place,
        "targets": [_target(number, *line, instant=panel.kind == "stat") for number, line in enumerate(panel.lines)],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(panel.kind),
    }


def _target(number: int, legend: str, expression: str, *, instant: bool) -> dict[str, Any]:
    return {
        "refId": chr(ord("A") + number),
        "datasource": SOURCE,
        "expr": expression,
        "legendFormat": legend,
        "instant": instant,
        "range": not instant,
    }


def _field(panel: Panel) -> dict[str, Any]:
    field: dict[str, Any] = {"unit": panel.unit}
    if panel.kind == "timeseries":
        stacking = {"mode": "normal" if panel.stacked else "none", "group": "A"}
        field |= {"min": 0, "custom": {"fillOpacity": 20 if panel.stacked else 0, "stacking": stacking}}
    return field


def _options(kind: str) -> dict[str, Any]:
    if kind == "stat":
        return {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "textMode": "value_and_name",
            "colorMode": "none",
        }
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}


def text() -> str:
    """Of the file."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
