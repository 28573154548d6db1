"""Readings as CSV in the hands of a spreadsheet: no text in it is run as a formula."""

import csv
import io
from typing import Any

import pytest
from edgevlm_server.api.readings import readings_csv


def row(station: str | None = None, **one: Any) -> dict[str, str]:
    fields = {"name": "x", "value": None, "unit": None, "confidence": 1.0, "reason": None, **one}
    body = {"created": 1795780000, "station": station, "fields": [fields]}
    [found] = csv.DictReader(io.StringIO(readings_csv(body), newline=""))
    return found


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_a_text_that_begins_like_a_formula_has_an_apostrophe_in_front(text: str) -> None:
    for column in ("station", "name", "value", "unit"):
        assert row(**{column: text})[column] == f"'{text}"
    assert row(value=[text, "b"])["value"] == f"'{text}, b"


def test_numbers_and_other_texts_stay_as_they_are() -> None:
    for value, cell in ((-7.5, "-7.5"), (-1, "-1"), ("a=b", "a=b"), (True, "true"), (["a", "-b"], "a, -b")):
        assert row(value=value)["value"] == cell
