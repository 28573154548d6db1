"""A form that loses answers or refusals is found out; one point is forgiven, a refusal is not."""

from edgevlm.evaluation.forms import WAYS, Way
from edgevlm.evaluation.ways import Outcome, report, rows


def asked(right: int, count: int, *, vain: bool = False) -> list[Outcome]:
    return [Outcome("gauge", vain, number < right, vain and number < right) for number in range(count)]


def test_one_point_less_is_forgiven() -> None:
    found: dict[Way, list[Outcome]] = {"free": asked(100, 200), "json": asked(98, 200), "field": asked(120, 200)}
    [row] = rows(found)
    assert row.met and row.right == {"free": 0.5, "json": 0.49, "field": 0.6}
    found["json"] = asked(97, 200)
    assert not rows(found)[0].met


def test_a_refusal_that_is_lost_is_not_forgiven() -> None:
    found: dict[Way, list[Outcome]] = {way: asked(200, 200, vain=True) for way in WAYS}
    assert rows(found)[0].met
    found["field"] = asked(199, 200, vain=True)
    assert not rows(found)[0].met


def test_the_report_names_every_way() -> None:
    text = report({way: asked(1, 2) for way in WAYS})
    assert "| right: free | right: json | right: field |" in text
    assert "| gauge | 2 | 50.0 | 50.0 | 50.0 | 0.0 | 0.0 | 0.0 | met |" in text
    assert "1 of 1 families meet the aim" in text
