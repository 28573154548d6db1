"""The page of readings: its tables are the code's, and its example is what the demo model answers."""

import json
import re
from typing import get_args

from edgevlm_server.api import field_bodies as bodies
from edgevlm_server.api.readings import COLUMNS
from edgevlm_server.api.stations import parse_station
from edgevlm_server.readings import kinds
from edgevlm_server.readings.field import Reason

from tests.boundaries.walls import ROOT
from tests.docs.pages import blocks, code, read, section, table
from tests.live import LiveServer

TEXT = read("docs/readings.md")
MODELS: tuple[type[bodies.FieldBody], ...] = (
    *(bodies.NumberField, bodies.IntegerField, bodies.TextField, bodies.ChoiceField, bodies.BooleanField),
    bodies.ListField,
)


def test_the_example_is_answered_so(demo: LiveServer) -> None:
    fields, answer = (json.loads(block) for block in blocks(section(TEXT, "Ask"), "json"))
    content = (ROOT / "examples/fields.json").read_bytes()
    assert json.loads(content) == fields
    files = {"image": ("gauge.jpg", (ROOT / "examples/gauge.jpg").read_bytes())}
    found = demo.client.post("/v1/readings", files=files, data={"fields": content.decode()}).json()
    assert [*found] == [*answer] and found["values"] == answer["values"]
    for one, shown in zip(found["fields"], answer["fields"], strict=True):
        assert {**one, "confidence": 0.99} == shown and one["confidence"] > 0.5


def test_the_table_of_types_is_complete() -> None:
    rows = {kind.strip("`"): beside for kind, beside, _ in table(section(TEXT, "Fields"))}
    assert tuple(rows) == bodies.TYPES
    for model, beside in zip(MODELS, rows.values(), strict=True):
        assert {*code(beside)} == {*model.model_fields} - {"type", *bodies.FieldBody.model_fields}
    assert f"Up to {bodies.MOST_FIELDS} fields" in TEXT
    assert f"{kinds.DECIMALS} unless told" in rows["number"]
    assert f"`max_length` ({kinds.MAX_LENGTH})" in rows["text"]
    assert f"`max_items` ({kinds.MOST_ITEMS}), `max_length` of a text ({kinds.MAX_LENGTH})" in rows["list"]


def test_the_table_of_reasons_is_complete() -> None:
    rows = table(section(TEXT, "Why there is no value"))
    assert tuple(reason.strip("`") for reason, _ in rows) == get_args(Reason)


def test_the_columns_are_those_of_the_csv() -> None:
    assert ",".join(COLUMNS) in code(TEXT)


def test_the_station_can_be_read() -> None:
    [content] = blocks(section(TEXT, "Stations"), "json")
    station = parse_station("press-4", content.encode())
    [host] = re.findall(r"--image-hosts (\S+)", TEXT)
    assert station.source is not None and f"//{host}/" in station.source
