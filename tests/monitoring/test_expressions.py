"""Dashboard and rules read only what a running server has, and each alert says what to do."""

import json

import pytest

from tests.monitoring import dashboard
from tests.monitoring.expressions_in_use import ALERTS, RECORDED, in_dashboard, in_rules
from tests.monitoring.names import Series, series, wrong
from tests.monitoring.served import Watched, load

USED = [*in_dashboard(), *in_rules()]

INVENTED: Series = {"edgevlm_steps_total": [{"kind": "decode"}], "edgevlm_lag_bucket": [{"le": "1"}]}


@pytest.fixture(scope="module")
def served(server: Watched) -> Series:
    load(server, 10)
    return series(server.server.service.metrics.text().decode())


def test_every_expression_reads_what_is_there(served: Series) -> None:
    assert len(USED) > 90
    assert [(*one, found) for one in USED for found in wrong(one.expression, served, RECORDED)] == []


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ('rate(edgevlm_steps_total{kind="decode", job=~".*"}[5m])', []),
        ("edgevlm_step_total > 0", ["there is no metric edgevlm_step_total"]),
        ('edgevlm_steps_total{kind="decod"}', ["no series of edgevlm_steps_total has kind=decod"]),
        (
            'edgevlm_steps_total{kind=~"encode|prefill"}',
            ["no series of edgevlm_steps_total has kind=~encode|prefill"],
        ),
        ('edgevlm_steps_total{sort="decode"}', ["no series of edgevlm_steps_total has sort=decode"]),
        ("sum by (instance, sort) (edgevlm_steps_total)", ["nothing here has the label sort"]),
        ("sum by (instance, le) (rate(edgevlm_lag_bucket[5m]))", []),
        ("sum by (le) (edgevlm_steps_total)", ["nothing here has the label le"]),
        ("edgevlm:steps:rate5m > 1", []),
        ("edgevlm:step:rate5m > 1", ["there is no metric edgevlm:step:rate5m"]),
    ],
)
def test_what_is_not_there_would_be_found(expression: str, found: list[str]) -> None:
    assert list(wrong(expression, INVENTED, {"edgevlm:steps:rate5m": "sum(edgevlm_steps_total)"})) == found


def test_the_dashboard_is_what_its_panels_make() -> None:
    assert dashboard.FILE.read_text(encoding="utf-8") == dashboard.text(), "run `make fix`"


def test_panels_have_room_and_numbers_of_their_own() -> None:
    made = json.loads(dashboard.FILE.read_text())
    every = [inner for outer in made["panels"] for inner in (outer, *outer.get("panels", ()))]
    assert len({one["id"] for one in every}) == len(every)
    for shown in (made["panels"], *(outer["panels"] for outer in made["panels"] if outer.get("panels"))):
        taken: set[tuple[int, int]] = set()
        for one in shown:
            place = one["gridPos"]
            cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
            assert place["x"] + place["w"] <= dashboard.COLUMNS and not cells & taken, one["title"]
            taken |= cells


def test_each_alert_says_what_to_do() -> None:
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS) > 15
    for alert in ALERTS:
        assert set(alert["annotations"]) == {"summary", "runbook"}
        assert alert["labels"]["severity"] in ("critical", "warning", "info")
        assert all(text.endswith((".", ")")) for text in alert["annotations"].values()), alert["alert"]


def test_legends_name_labels_that_the_expression_leaves() -> None:
    """A label that a sum takes away would be an empty legend."""
    for row in dashboard.ROWS:
        for panel in row.panels:
            for legend, expression in panel.lines:
                if " by (" in expression:
                    kept = expression.split(" by (", 1)[1].split(")", 1)[0].split(", ")
                    assert {word.split("}}")[0] for word in legend.split("{{")[1:]} <= set(kept), panel.title
