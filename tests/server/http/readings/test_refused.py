"""Readings that are refused: what is wrong in a request is said with its place, and nothing is read."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live import LiveServer
from tests.pictures import image_part
from tests.server.http.readings.bodies import GAUGE, LAMP, TEXT, Body, folder_of, post, send
from tests.server.http.refusing import check_error


@pytest.mark.parametrize(
    ("body", "param", "code", "part"),
    [
        ({}, None, "invalid_value", "'fields' or the name of a 'station'"),
        ({"fields": [TEXT], "station": "x"}, None, "invalid_value", "'fields' or the name of a 'station'"),
        ({"fields": []}, "fields", "invalid_value", "at least 1 item"),
        ({"fields": [TEXT | {"name": f"{n}"} for n in range(33)]}, "fields", "invalid_value", "at most 32 items"),
        ({"fields": [TEXT, TEXT]}, "fields", "invalid_value", "a name of its own"),
        ({"fields": [TEXT, {**TEXT, "type": "colour"}]}, "fields.1", "invalid_value", "the type 'number', 'integer'"),
        ({"fields": [{"name": "x", "type": "text"}]}, "fields.0.question", "invalid_value", "Field required"),
        ({"fields": [TEXT | {"question": " "}]}, "fields.0.question", "invalid_value", "match pattern"),
        ({"fields": [TEXT | {"question": "x" * 1025}]}, "fields.0.question", "invalid_value", "at most 1024"),
        ({"fields": [TEXT | {"name": "a\nb"}]}, "fields.0.name", "invalid_value", "match pattern"),
        ({"fields": [TEXT | {"name": "x" * 65}]}, "fields.0.name", "invalid_value", "at most 64"),
        (
            {"fields": [TEXT | {"max_length": 257}]},
            "fields.0.max_length",
            "invalid_value",
            "less than or equal to 256",
        ),
        ({"fields": [TEXT | {"pattern": "x" * 513}]}, "fields.0.pattern", "invalid_value", "at most 512"),
        ({"fields": [TEXT | {"unit": "bar"}]}, "fields.0.unit", "unsupported_parameter", "not supported"),
        ({"fields": [TEXT, TEXT | {"name": "y", "pattern": "(?=a)"}]}, "fields.1", "invalid_value", "look ahead"),
        (
            {"fields": [TEXT, TEXT | {"name": "y", "pattern": "("}]},
            "fields.1",
            "unsupported_schema",
            "cannot be used",
        ),
        (
            {"fields": [TEXT | {"pattern": "([a-z]{1,100}){1,100}"}]},
            "fields.0",
            "invalid_value",
            "can be at most 4096",
        ),
        ({"fields": [LAMP | {"choices": ["a", "a"]}]}, "fields.0.choices", "invalid_value", "must be different"),
        ({"fields": [LAMP | {"choices": [" a"]}]}, "fields.0.choices.0", "invalid_value", "match pattern"),
        ({"fields": [LAMP | {"choices": ["x" * 129]}]}, "fields.0.choices.0", "invalid_value", "at most 128"),
        (
            {"fields": [LAMP | {"choices": [f"{n}" for n in range(65)]}]},
            "fields.0.choices",
            "invalid_value",
            "at most 64",
        ),
        ({"fields": [GAUGE | {"minimum": 2, "maximum": 1}]}, "fields.0", "invalid_value", "more than 'maximum'"),
        ({"fields": [GAUGE | {"unit": "1/min"}]}, "fields.0.unit", "invalid_value", "match pattern"),
        ({"fields": [GAUGE | {"decimals": 7}]}, "fields.0.decimals", "invalid_value", "less than or equal to 6"),
        ({"fields": [TEXT | {"crop": "1,2,3"}]}, "fields.0.crop", "invalid_value", "'x,y,width,height'"),
        (
            {"fields": [TEXT], "crop": "pct:0,0,50,50", "deskew": "0,0 9,0 9,9 0,9"},
            None,
            "invalid_value",
            "cannot stand beside",
        ),
        ({"fields": [TEXT], "min_confidence": 1.1}, "min_confidence", "invalid_value", "less than or equal to 1"),
        ({"fields": [TEXT], "images": [image_part()]}, None, "invalid_value", "not both"),
        ({"fields": [TEXT], "image": None}, "images", "invalid_value", "no picture"),
        ({"fields": [TEXT], "image": "no picture"}, "image", "image_invalid", "must be a base64 data URL"),
        (
            {"fields": [TEXT], "image": None, "images": [image_part()] * 9},
            "images.8",
            "too_many_images",
            "at most 8 images",
        ),
        ({"fields": [TEXT], "prompt": "x"}, "prompt", "unsupported_parameter", "not supported"),
    ],
)
def test_one_mistake_refuses_the_request_and_says_where(
    echo_server: LiveServer, still_serving: None, body: Body, param: str | None, code: str, part: str
) -> None:
    response = post(echo_server, **body)
    error = check_error(response, 400, code)
    assert error["param"] == param
    assert part in error["message"]


def test_what_is_not_there_is_a_404(echo_server: LiveServer) -> None:
    check_error(post(echo_server, station="press-9"), 404, "station_not_found")
    check_error(post(echo_server, fields=[TEXT], model="other"), 404, "model_not_found")
    assert echo_server.client.get("/v1/stations").json() == {"object": "list", "data": []}


@pytest.mark.parametrize(
    ("fields", "code", "part"),
    [
        ("[{", "invalid_json", "fields: The text is not valid JSON."),
        ("[NaN]", "invalid_json", "not valid JSON"),
        ("[" * 5_000, "invalid_json", "not valid JSON"),
        ('[{"name": "a", "name": "b"}]', "invalid_json", "fields: The text has the same key twice in one object."),
        (f"[{'1,' * 60_000}1]", "too_many_values", "fields: The text holds too many values."),
    ],
)
def test_json_in_a_form_has_the_bounds_of_a_body(
    echo_server: LiveServer, still_serving: None, fields: str, code: str, part: str
) -> None:
    error = check_error(send(echo_server, "lamp.png", fields=fields), 400, code)
    assert error["param"] == "fields" and part in error["message"]


def test_forms_say_what_is_wrong_in_them(echo_server: LiveServer) -> None:
    assert check_error(send(echo_server, "lamp.png", fields="[]"), 400, "invalid_value")["param"] == "fields"
    unsure = send(echo_server, "lamp.png", fields=json.dumps([TEXT]), min_confidence="much")
    assert check_error(unsure, 400, "invalid_value")["param"] == "min_confidence"
    check_error(send(echo_server, "lamp.png", question="Q?", fields=json.dumps([TEXT])), 400, "unsupported_parameter")
    plain = echo_server.client.post("/v1/readings", content=b"x", headers={"content-type": "text/plain"})
    check_error(plain, 415, "unsupported_media_type")


@pytest.mark.slow
def test_a_station_without_a_picture_needs_one(bundles: Callable[[str], Path], tmp_path: Path) -> None:
    folder = folder_of(tmp_path, s={"fields": [TEXT]})
    with LiveServer.on_bundle(bundles("v2"), engine="echo", stations=folder) as server:
        response = server.client.post("/v1/readings", json={"station": "s"})
        assert "no address of one" in check_error(response, 400, "invalid_value")["message"]
