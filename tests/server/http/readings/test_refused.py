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
    ("body", "param", "part"),
    [
        ({}, None, "'fields' or the name of a 'station'"),
        ({"fields": [TEXT], "station": "x"}, None, "'fields' or the name of a 'station'"),
        ({"fields": []}, "fields", "at least 1 item"),
        ({"fields": [TEXT | {"name": f"{n}"} for n in range(33)]}, "fields", "at most 32 items"),
        ({"fields": [TEXT, TEXT]}, "fields", "a name of its own"),
        ({"fields": [TEXT, {**TEXT, "type": "colour"}]}, "fields.1", "the type 'number', 'integer'"),
        ({"fields": [{"name": "x", "type": "text"}]}, "fields.0.question", "Field required"),
        ({"fields": [TEXT | {"question": " "}]}, "fields.0.question", "match pattern"),
        ({"fields": [TEXT | {"question": "x" * 1025}]}, "fields.0.question", "at most 1024"),
        ({"fields": [TEXT | {"name": "a\nb"}]}, "fields.0.name", "match pattern"),
        ({"fields": [TEXT | {"name": "x" * 65}]}, "fields.0.name", "at most 64"),
        ({"fields": [TEXT | {"max_length": 257}]}, "fields.0.max_length", "less than or equal to 256"),
        ({"fields": [TEXT | {"pattern": "x" * 513}]}, "fields.0.pattern", "at most 512"),
        ({"fields": [TEXT | {"unit": "bar"}]}, "fields.0.unit", "not supported"),
        ({"fields": [TEXT, TEXT | {"name": "y", "pattern": "(?=a)"}]}, "fields.1", "look ahead"),
        ({"fields": [TEXT, TEXT | {"name": "y", "pattern": "("}]}, "fields.1", "cannot be used"),
        ({"fields": [TEXT | {"pattern": "([a-z]{1,100}){1,100}"}]}, "fields.0", "can be at most 4096"),
        ({"fields": [LAMP | {"choices": ["a", "a"]}]}, "fields.0.choices", "must be different"),
        ({"fields": [LAMP | {"choices": [" a"]}]}, "fields.0.choices.0", "match pattern"),
        ({"fields": [LAMP | {"choices": ["x" * 129]}]}, "fields.0.choices.0", "at most 128"),
        ({"fields": [LAMP | {"choices": [f"{n}" for n in range(65)]}]}, "fields.0.choices", "at most 64"),
        ({"fields": [GAUGE | {"minimum": 2, "maximum": 1}]}, "fields.0", "more than 'maximum'"),
        ({"fields": [GAUGE | {"unit": "1/min"}]}, "fields.0.unit", "match pattern"),
        ({"fields": [GAUGE | {"decimals": 7}]}, "fields.0.decimals", "less than or equal to 6"),
        ({"fields": [TEXT | {"crop": "1,2,3"}]}, "fields.0.crop", "'x,y,width,height'"),
        ({"fields": [TEXT], "crop": "pct:0,0,50,50", "deskew": "0,0 9,0 9,9 0,9"}, None, "cannot stand beside"),
        ({"fields": [TEXT], "min_confidence": 1.1}, "min_confidence", "less than or equal to 1"),
        ({"fields": [TEXT], "images": [image_part()]}, None, "not both"),
        ({"fields": [TEXT], "image": None}, "images", "no picture"),
        ({"fields": [TEXT], "image": "no picture"}, "image", ""),
        ({"fields": [TEXT], "image": None, "images": [image_part()] * 9}, "fields.0", "at most 8 images"),
        ({"fields": [TEXT], "prompt": "x"}, "prompt", "not supported"),
    ],
)
def test_one_mistake_refuses_the_request_and_says_where(
    echo_server: LiveServer, still_serving: None, body: Body, param: str | None, part: str
) -> None:
    response = post(echo_server, **body)
    assert response.status_code == 400, response.text
    error = check_error(response, 400, response.json()["error"]["code"])
    assert error["param"] == param or str(error["param"]).startswith("images")
    assert part in error["message"]


def test_what_is_not_there_is_a_404(echo_server: LiveServer) -> None:
    check_error(post(echo_server, station="press-9"), 404, "station_not_found")
    check_error(post(echo_server, fields=[TEXT], model="other"), 404, "model_not_found")
    assert echo_server.client.get("/v1/stations").json() == {"object": "list", "data": []}


def test_forms_say_what_is_wrong_in_them(echo_server: LiveServer) -> None:
    assert check_error(send(echo_server, "lamp.png", fields="[{"), 400, "invalid_value")["param"] == "fields"
    assert check_error(send(echo_server, "lamp.png", fields="[]"), 400, "invalid_value")["param"] == "fields"
    unsure = send(echo_server, "lamp.png", fields=json.dumps([TEXT]), min_confidence="much")
    assert check_error(unsure, 400, "invalid_value")["param"] == "min_confidence"
    check_error(send(echo_server, "lamp.png", question="Q?", fields=json.dumps([TEXT])), 400, "unsupported_parameter")
    plain = echo_server.client.post("/v1/readings", content=b"x", headers={"content-type": "text/plain"})
    check_error(plain, 415, "unsupported_media_type")


def test_a_station_without_a_picture_needs_one(bundles: Callable[[str], Path], tmp_path: Path) -> None:
    folder = folder_of(tmp_path, s={"fields": [TEXT]})
    with LiveServer.on_bundle(bundles("v2"), engine="echo", stations=folder) as server:
        response = server.client.post("/v1/readings", json={"station": "s"})
        assert "no address of one" in check_error(response, 400, "invalid_value")["message"]
