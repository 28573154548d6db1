"""Readings: each field gets its own answer about one picture, or a reason why there is none; stations ask for all."""

import csv
import io
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from edgevlm_server.images.hosts import ImageHosts
from edgevlm_server.observe.record import RequestRecord
from PIL import Image

from tests.live import LiveServer
from tests.pictures import data_url, image_part
from tests.server.engines import SlowEngine, until
from tests.server.http.readings.bodies import (
    ALL,
    DISPLAY,
    EXAMPLES,
    GAUGE,
    LAMP,
    LONG,
    MISSING,
    TEXT,
    Body,
    folder_of,
    read,
    send,
)
from tests.server.http.refusing import check_error
from tests.server.http.test_decisions import balanced
from tests.server.images.picture_hosts import PictureHost, answers

Bundles = Callable[[str], Path]

REFUSAL = "I cannot see that in the image."

RIGHT: dict[str, Body] = {
    "lamp.png": {"lamp": "amber"},
    "display.jpg": {"display": 834.2},
    "gauge.jpg": {"gauge": 3.0},
    "label.jpg": {"serial": "61A530"},
    "flange.jpg": {"bolts": 3, "missing": True},
    "plate.jpg": {"defect": "crack"},
}


@pytest.mark.slow
@pytest.mark.parametrize("picture", RIGHT)
def test_what_is_there_is_read_and_the_rest_is_refused(demo: LiveServer, picture: str) -> None:
    response = send(demo, picture, fields=json.dumps(ALL))
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["values"] == {**{field["name"]: None for field in ALL}, **RIGHT[picture]}
    assert [field["name"] for field in body["fields"]] == [field["name"] for field in ALL]
    for field in body["fields"]:
        assert body["values"][field["name"]] == field["value"]
        assert field["unit"] == ("bar" if field["name"] == "gauge" else None)
        assert 0.5 < field["confidence"] <= 1
        known = field["name"] in RIGHT[picture]
        assert (field["reason"], field["raw"] == REFUSAL) == ((None, False) if known else ("refused", True))
    assert (body["object"], body["model"], body["station"]) == ("readings", "edgevlm-demo", None)


@pytest.mark.slow
def test_the_second_field_costs_a_few_positions(demo_model: Path) -> None:
    with LiveServer.on_bundle(demo_model) as server:
        one = send(server, "gauge.jpg", fields=json.dumps([GAUGE])).json()["usage"]
        assert one["prompt_tokens_details"]["cached_tokens"] == 0
    with LiveServer.on_bundle(demo_model) as server:
        usage = send(server, "gauge.jpg", fields=json.dumps(ALL)).json()["usage"]
        records = server.metrics()
    computed = usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"]
    assert (computed - one["prompt_tokens"]) / (len(ALL) - 1) < 20 < one["prompt_tokens"] / 8
    assert records["edgevlm_mm_cache_queries_total"] == 1


@pytest.mark.slow
def test_fields_run_side_by_side(bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=4)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        assert len(read(server, *({**LONG, "name": f"{number}"} for number in range(4)))["fields"]) == 4
        assert engine.widest == 4
        balanced(server)


@pytest.mark.slow
@pytest.mark.parametrize("slots", [1, 3])
def test_more_fields_than_slots_are_all_read_in_order(bundles: Bundles, slots: int) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo", max_batch=slots) as server:
        fields = [{**LAMP, "name": f"{number}", "choices": [f"x{number}"]} for number in range(8)]
        body = read(server, *fields)
        assert [*body["values"]] == [field["name"] for field in fields]
        for field in body["fields"]:
            assert (field["value"], field["reason"]) in ((f"x{field['name']}", None), (None, "refused"))
            assert field["raw"]
        balanced(server)


@pytest.mark.slow
def test_fields_that_wait_for_others_of_their_request_are_no_slow_answers(bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=1)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        begun = time.monotonic()
        read(server, *({**LONG, "name": f"{number}"} for number in range(6)))
        seconds = time.monotonic() - begun
        balanced(server)
        metrics = server.metrics()
    assert metrics["edgevlm_e2e_request_latency_seconds_count"] == 6
    # one after the other: from the request's arrival it would be some three times as much
    assert 0 < metrics["edgevlm_e2e_request_latency_seconds_sum"] <= seconds


def test_a_row_a_field_for_spreadsheets(demo: LiveServer) -> None:
    fields = [GAUGE, MISSING, {**LAMP, "name": 'the "lamp", lit'}]
    response = send(demo, "gauge.jpg", "text/csv", fields=json.dumps(fields))
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    head, *rows = csv.reader(response.text.splitlines())
    assert head == ["time", "station", "name", "value", "unit", "confidence", "reason"]
    assert [row[2:5] + row[6:] for row in rows] == [
        ["gauge", "3.0", "bar", ""],
        ["missing", "", "", "refused"],
        ['the "lamp", lit', "", "", "refused"],
    ]
    assert all(row[0].endswith("Z") and row[1] == "" and float(row[5]) > 0.5 for row in rows)
    # who takes anything gets JSON
    assert send(demo, "gauge.jpg", "text/csv;q=0.5, */*", fields=json.dumps([GAUGE])).json()["object"] == "readings"


@pytest.mark.slow
def test_a_picture_and_a_stations_name_are_enough(demo_model: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, **{"press-4": {"fields": [GAUGE, LAMP], "min_confidence": 0.5}})
    with LiveServer.on_bundle(demo_model, stations=folder) as server:
        body = send(server, "gauge.jpg", station="press-4").json()
        assert (body["station"], body["values"]) == ("press-4", {"gauge": 3.0, "lamp": None})
        rows = list(csv.DictReader(send(server, "gauge.jpg", "text/csv", station="press-4").text.splitlines()))
        assert [row["station"] for row in rows] == ["press-4", "press-4"]
        [station] = server.client.get("/v1/stations").json()["data"]
        known = {"name": "press-4", "has_source": False, "min_confidence": 0.5, "fields": [GAUGE, LAMP]}
        assert station == {**dict.fromkeys(("crop", "rotate", "deskew")), **known}


@pytest.mark.slow
def test_a_stations_picture_comes_from_its_camera(demo_model: Path, tmp_path: Path) -> None:
    with PictureHost(answers((EXAMPLES / "display.jpg").read_bytes())) as camera:
        folder = folder_of(tmp_path, line={"source": camera.url(), "fields": [DISPLAY]})
        hosts = ImageHosts.parse(f"127.0.0.1:{camera.port}")
        with LiveServer.on_bundle(demo_model, stations=folder, image_hosts=hosts) as server:
            body = server.client.post("/v1/readings", json={"station": "line"}).json()
            assert body["values"] == {"display": 834.2}
            # a picture that is sent comes first
            assert send(server, "panel.jpg", station="line").json()["values"] == {"display": 3.7}
            [station] = server.client.get("/v1/stations").json()["data"]
            assert station["has_source"] is True and camera.url() not in json.dumps(station)


def test_a_camera_that_gives_no_picture_is_no_mistake_of_the_client(bundles: Bundles, tmp_path: Path) -> None:
    # bound and not listening: nobody else can answer there
    with PictureHost(answers(b"<html>busy</html>")) as camera, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{closed.getsockname()[1]}/x.jpg"
        folder = folder_of(
            tmp_path, gone={"source": gone, "fields": [DISPLAY]}, busy={"source": camera.url(), "fields": [DISPLAY]}
        )
        hosts = ImageHosts.parse(f"127.0.0.1:{camera.port},{gone.split('/')[2]}")
        with LiveServer.on_bundle(bundles("v2"), engine="echo", stations=folder, image_hosts=hosts) as server:
            for station, code in (("gone", "image_fetch_failed"), ("busy", "image_unsupported")):
                error = check_error(server.client.post("/v1/readings", json={"station": station}), 502, code)
                assert error["param"] == "station"
            until(lambda: server.service.admission.inside == 0, "the places to be given back")
            assert server.metrics()['edgevlm_admission_rejections_total{reason="unavailable"}'] == 2


@pytest.mark.slow
def test_a_doubtful_value_is_none(demo_model: Path, tmp_path: Path) -> None:
    sure = {**GAUGE, "name": "sure", "min_confidence": 0.1}
    folder = folder_of(tmp_path, s={"fields": [GAUGE, sure], "min_confidence": 1})
    with LiveServer.on_bundle(demo_model, stations=folder) as server:
        body = send(server, "gauge.jpg", station="s").json()
        assert body["values"] == {"gauge": None, "sure": 3.0}
        first = body["fields"][0]
        assert (first["reason"], first["raw"]) == ("low_confidence", "3.0")
        # the request's own threshold stands before the station's
        assert send(server, "gauge.jpg", station="s", min_confidence="0.5").json()["values"]["gauge"] == 3.0
        assert server.metrics()['edgevlm_readings_total{result="low_confidence"}'] == 1
        assert server.metrics()['edgevlm_readings_total{result="read"}'] == 3


@pytest.mark.slow
def test_the_servers_own_threshold_comes_last(demo_model: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, s={"fields": [GAUGE], "min_confidence": 0.5})
    with LiveServer.on_bundle(demo_model, stations=folder, min_confidence=1.0) as server:
        assert send(server, "gauge.jpg", station="s").json()["values"] == {"gauge": 3.0}
        unsaid = send(server, "gauge.jpg", fields=json.dumps([GAUGE])).json()["fields"]
        assert [one["reason"] for one in unsaid] == ["low_confidence"]


def test_a_number_out_of_its_range_is_none(demo: LiveServer) -> None:
    fields = [{**DISPLAY, "maximum": 500}, {**DISPLAY, "name": "low", "minimum": 834.2}]
    body = send(demo, "display.jpg", fields=json.dumps(fields)).json()
    assert body["values"] == {"display": None, "low": 834.2}
    assert (body["fields"][0]["reason"], body["fields"][0]["raw"]) == ("out_of_range", "834.2")


def frame(*placed: tuple[str, tuple[int, int]]) -> bytes:
    """A camera's 1280 x 720 with pictures of examples in it, a quarter of its width each."""
    made = Image.new("RGB", (1280, 720), (96, 100, 104))
    for name, corner in placed:
        with Image.open(EXAMPLES / name) as picture:
            made.paste(picture.convert("RGB").resize((320, 320 * picture.height // picture.width)), corner)
    file = io.BytesIO()
    made.save(file, "PNG")
    return file.getvalue()


@pytest.mark.slow
def test_each_field_may_be_about_a_part_of_its_own(demo_model: Path, tmp_path: Path) -> None:
    picture = frame(("display.jpg", (100, 60)), ("gauge.jpg", (800, 340)))
    fields = [{**DISPLAY, "crop": "100,60,320,240"}, {**GAUGE, "crop": "800,340,320,320"}, GAUGE | {"name": "none"}]
    folder = folder_of(tmp_path, s={"fields": fields, "crop": "0,0,320,320"})
    with LiveServer.on_bundle(demo_model, stations=folder) as server:

        def read_frame(**texts: str) -> Body:
            response = server.client.post("/v1/readings", files={"image": ("f.png", picture)}, data=texts)
            assert response.status_code == 200, response.text
            found: Body = response.json()["values"]
            return found

        assert read_frame(station="s") == {"display": 834.2, "gauge": 3.0, "none": None}
        # three parts of one file: decoded once, each seen once
        assert server.metrics()["edgevlm_image_decode_seconds_count"] == 1
        assert server.metrics()["edgevlm_image_encode_seconds_count"] == 3
        # the request's part stands before the station's, and behind a field's
        assert read_frame(station="s", crop="800,340,320,320") == {"display": 834.2, "gauge": 3.0, "none": 3.0}
        # a field of its own may mean all of it
        whole = json.dumps([GAUGE | {"crop": "pct:0,0,100,100"}, GAUGE | {"name": "part"}])
        assert read_frame(fields=whole, crop="800,340,320,320")["part"] == 3.0
        outside = server.client.post(
            "/v1/readings",
            files={"image": ("f.png", picture)},
            data={"fields": json.dumps([GAUGE, DISPLAY | {"crop": "1200,0,320,240"}])},
        )
        assert check_error(outside, 400, "image_region_outside")["param"] == "fields.1"


@pytest.mark.slow
def test_parts_of_a_chat_and_names_are_pictures_too(echo_server: LiveServer) -> None:
    fields = [{"name": "x", "question": "Q?", "type": "boolean"}]
    named = {**image_part(data_url((1, 2, 3))), "uuid": "frame-1"}
    first = echo_server.client.post("/v1/readings", json={"images": [named, image_part()], "fields": fields})
    again = echo_server.client.post(
        "/v1/readings", json={"images": [{"type": "image_url", "uuid": "frame-1"}, image_part()], "fields": fields}
    )
    assert first.status_code == again.status_code == 200
    assert first.json()["values"] == again.json()["values"]
    usage = again.json()["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] > 0.8 * usage["prompt_tokens"]


@pytest.mark.slow
def test_record_and_audit_tell_of_it(bundles: Bundles, tmp_path: Path) -> None:
    seen: list[RequestRecord] = []
    with LiveServer.on_bundle(bundles("v2"), engine="echo", audit=tmp_path) as server:
        server.service.readers.add(seen.append)
        body = read(server, TEXT, MISSING)
        until(lambda: seen, "the record")
    [record] = seen
    assert (record.route, record.answers, record.pictures) == ("/v1/readings", 2, 1)
    assert [stage for stage, _ in record.entered] == [
        *("body", "prepare", "pictures", "queue", "prefill", "decode", "send")
    ]
    assert (record.prompt, record.completion) == (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"])
    [file] = tmp_path.glob("*.jsonl")
    line = json.loads(file.read_text())
    assert (line["route"], line["question"]) == ("/v1/readings", "Q?\nIs a bolt missing?")
    assert line["answers"] == body["fields"]
    assert len(line["pictures"]) == 1
