"""The page of readings: its tables are the code's, and its example is what the demo model answers."""

import json
import re
from ipaddress import ip_address
from typing import get_args

import pytest
from edgevlm_server.api import field_bodies as bodies
from edgevlm_server.api.readings import COLUMNS
from edgevlm_server.api.stations import parse_station
from edgevlm_server.readings import kinds
from edgevlm_server.refusals import NoValue

from tests.boundaries.walls import ROOT
from tests.docs.pages import blocks, code, read, section, table
from tests.live import LiveServer

TEXT = read("docs/readings.md")
MODELS: tuple[type[bodies.FieldBody], ...] = (
    *(bodies.NumberField, bodies.IntegerField, bodies.TextField, bodies.ChoiceField, bodies.BooleanField),
    bodies.ListField,
)


@pytest.mark.slow
def test_the_example_is_answered_so(demo: LiveServer) -> None:
    fields, answer = (json.loads(block) for block in blocks(section(TEXT, "Ask"), "json"))
    content = (ROOT / "examples/fields.json").read_bytes()
    assert json.loads(content) == fields
    files = {"image": ("gauge.jpg", (ROOT / "examples/gauge.jpg").read_bytes())}
    found = demo.client.post("/v1/readings", files=files, data={"fields": content.decode()}).json()
    assert [*found] == [*answer] and found["values"] == answer["values"]
    assert [{**one, "confidence": round(one["confidence"], 2)} for one in found["fields"]] == answer["fields"]
    # what is cached depends on who asked before
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert found["usage"][name] == answer["usage"][name]


def test_the_table_of_types_is_complete() -> None:
    rows = {kind.strip("`"): beside for kind, beside, _ in table(section(TEXT, "Fields"))}
    assert tuple(rows) == bodies.TYPES
    for model, beside in zip(MODELS, rows.values(), strict=True):
        assert {*code(beside)} == {*model.model_fields} - {"type", *bodies.FieldBody.model_fields}
    assert f"Up to {bodies.MOST_FIELDS} fields" in TEXT
    assert f"{kinds.DECIMALS} unless told" in rows["number"]
    assert f"({kinds.MAX_LENGTH} unless told, up to" in rows["text"]
    assert f"({kinds.MOST_ITEMS} unless told, up to" in rows["list"]
    assert f"({kinds.MAX_LENGTH} unless told, up to" in rows["list"]


def test_what_a_field_may_have_at_most_is_said() -> None:
    number, _, text, choice, _, of_texts = MODELS
    rows = [beside for _, beside, _ in table(section(TEXT, "Fields"))]
    for row, model, name in ((rows[0], number, "unit"), (rows[1], MODELS[1], "unit"), (rows[2], text, "pattern")):
        assert f"up to {most(model, name, 'maxLength')} characters" in _behind(row, name)
    for row, model, name in (
        *((rows[0], number, "decimals"), (rows[2], text, "max_length")),
        *((rows[5], of_texts, "max_items"), (rows[5], of_texts, "max_length")),
    ):
        assert f"up to {most(model, name, 'maximum')})" in _behind(row, name)
    each = choice.model_json_schema()["properties"]["choices"]["items"]["maxLength"]
    assert f"(up to {most(choice, 'choices', 'maxItems')}, each of up to {each} characters)" in rows[3]
    names, questions = (most(bodies.FieldBody, one, "maxLength") for one in ("name", "question"))
    assert f"a `name` of up to {names} characters and a `question` of up to {questions}," in TEXT


def most(model: type[bodies.FieldBody], name: str, bound: str) -> int:
    """A bound of a field in the description of the API."""
    described = model.model_json_schema()["properties"][name]
    [found] = [one[bound] for one in described.get("anyOf", [described]) if bound in one]
    return int(found)


def _behind(row: str, name: str) -> str:
    """What a row says of a field, up to the next one."""
    return row.partition(f"`{name}`")[2].partition("`")[0]


def test_the_table_of_reasons_is_complete() -> None:
    rows = table(section(TEXT, "Why there is no value"))
    assert tuple(reason.strip("`") for reason, _ in rows) == get_args(NoValue)


def test_the_columns_are_those_of_the_csv() -> None:
    assert ",".join(COLUMNS) in code(TEXT)


def test_the_station_can_be_read() -> None:
    [content] = blocks(section(TEXT, "Stations"), "json")
    station = parse_station("press-4", content.encode())
    [hosts] = re.findall(r"--image-hosts (\S+)", TEXT)
    host, address = hosts.split(",")
    assert ip_address(address).is_private, "a camera's name leads to an address that is not public"
    assert station.source is not None and f"//{host}/" in station.source
