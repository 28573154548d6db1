"""Readings: each field gets its own answer about one picture, or a reason why there is none; stations ask for all."""

import csv
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from edgevlm_server.images.hosts import ImageHosts
from edgevlm_server.observe.metrics import READINGS
from edgevlm_server.observe.record import RequestRecord
from edgevlm_server.readings.field import Reason
from edgevlm_server.reload import Reloader
from edgevlm_server.settings import Settings, SettingsError
from edgevlm_server.stations import Stations
from PIL import Image

from tests.live import LiveServer
from tests.pictures import data_url, image_part
from tests.server.engines import FailingEngine, SlowEngine, until
from tests.server.http.refusing import check_error
from tests.server.http.test_decisions import balanced
from tests.server.images.picture_hosts import PictureHost, answers

Bundles = Callable[[str], Path]
Body = dict[str, Any]

EXAMPLES = Path(__file__).parents[3] / "examples"
REFUSAL = "I cannot see that in the image."

LAMP: Body = {
    "name": "lamp",
    "question": "Which lamp is on?",
    "type": "choice",
    "choices": ["none", "red", "amber", "green", "blue"],
}
DISPLAY: Body = {"name": "display", "question": "What does the display read?", "type": "number"}
GAUGE: Body = {
    "name": "gauge",
    "question": "What does the gauge read?",
    "type": "number",
    "unit": "bar",
    "decimals": 1,
}
SERIAL: Body = {
    "name": "serial",
    "question": "What is the serial number on the label?",
    "type": "text",
    "pattern": "[0-9A-Z]{4,10}",
}
BOLTS: Body = {"name": "bolts", "question": "How many bolts are missing?", "type": "integer", "minimum": 0}
MISSING: Body = {"name": "missing", "question": "Is a bolt missing?", "type": "boolean"}
DEFECT: Body = {
    "name": "defect",
    "question": "Which defect does the plate have?",
    "type": "choice",
    "choices": ["scratch", "dent", "crack", "rust", "none"],
}
ALL = [LAMP, DISPLAY, GAUGE, SERIAL, BOLTS, MISSING, DEFECT]
TEXT: Body = {"name": "x", "question": "Q?", "type": "text"}
LONG: Body = {**TEXT, "pattern": "[a-z]{40}"}
RIGHT: dict[str, Body] = {
    "lamp.png": {"lamp": "amber"},
    "display.jpg": {"display": 834.2},
    "gauge.jpg": {"gauge": 3.0},
    "label.jpg": {"serial": "61A530"},
    "flange.jpg": {"bolts": 3, "missing": True},
    "plate.jpg": {"defect": "crack"},
}


def post(server: LiveServer, **body: Any) -> httpx.Response:
    return server.client.post("/v1/readings", json={"image": data_url(), **body})


def read(server: LiveServer, *fields: Body, **body: Any) -> Body:
    response = post(server, fields=fields, **body)
    assert response.status_code == 200, response.text
    found: Body = response.json()
    return found


def send(server: LiveServer, picture: str, accept: str = "*/*", **texts: str) -> httpx.Response:
    """As `curl -F image=@picture -F ...` does."""
    files = {"image": (picture, (EXAMPLES / picture).read_bytes())}
    return server.client.post("/v1/readings", files=files, data=texts, headers={"accept": accept})


def folder_of(path: Path, **stations: Any) -> Path:
    for name, station in stations.items():
        (path / f"{name}.json").write_text(json.dumps(station))
    return path


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


def test_fields_run_side_by_side(bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=4)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        assert len(read(server, *({**LONG, "name": f"{number}"} for number in range(4)))["fields"]) == 4
        assert engine.widest == 4
        balanced(server)


@pytest.mark.parametrize("slots", [1, 3])
def test_more_fields_than_slots_are_all_read_in_order(bundles: Bundles, slots: int) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo", max_batch=slots) as server:
        fields = [{**LAMP, "name": f"{number}", "choices": [f"x{number}"]} for number in range(8)]
        body = read(server, *fields)
        assert [*body["values"]] == [field["name"] for field in fields]
        for field in body["fields"]:
            assert field["value"] in (f"x{field['name']}", None)
        balanced(server)


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


def test_every_reason_is_counted() -> None:
    assert ("read", *get_args(Reason)) == READINGS


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


def test_a_station_without_a_picture_needs_one(bundles: Bundles, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, s={"fields": [TEXT]})
    with LiveServer.on_bundle(bundles("v2"), engine="echo", stations=folder) as server:
        response = server.client.post("/v1/readings", json={"station": "s"})
        assert "no address of one" in check_error(response, 400, "invalid_value")["message"]


def test_a_client_that_leaves_ends_all_fields(bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=2, seconds=0.05)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        fields = [{**LONG, "name": f"{number}"} for number in range(12)]
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/v1/readings", json={"image": data_url(), "fields": fields}, timeout=1)
        until(lambda: server.service.admission.inside == 0, "the places to be given back")
        decoded = engine.decoded
        assert server.chat("still there?", max_tokens=3).status_code == 200
        assert engine.decoded <= decoded + 6
        assert server.metrics()["edgevlm_requests_accepted_total"] < 6
        balanced(server)


def test_an_answer_that_takes_too_long_is_a_504(bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=1, seconds=0.2)
    with LiveServer.on_engine(bundles("v2"), engine, request_timeout=1.0) as server:
        fields = [{**LONG, "name": f"{number}"} for number in range(4)]
        check_error(post(server, fields=fields), 504, "answer_timeout")
        balanced(server)


def test_an_engine_that_fails_is_told(bundles: Bundles) -> None:
    with LiveServer.on_engine(bundles("v2"), FailingEngine(bundles("v2"), slots=2, fail_at=1)) as server:
        assert post(server, fields=[TEXT, {**TEXT, "name": "y"}]).status_code == 503
        balanced(server)


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


GOOD: Body = {"fields": [TEXT]}


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("a.json", "{", "It is not valid JSON in UTF-8."),
        ("a.json", "[]", "The body"),
        ("a.json", "{}", "fields: Field required."),
        ("a.json", json.dumps({"fields": [TEXT, TEXT]}), "fields: Each field must have a name of its own."),
        ("a.json", json.dumps({"fields": [{**TEXT, "pattern": "(?=a)"}]}), "fields.0: A regular expression"),
        ("a.json", json.dumps({**GOOD, "rotate": "north"}), "rotate: It must be a number of degrees"),
        ("a.json", json.dumps({**GOOD, "color": 1}), "'color' is not supported."),
        ("a.json", json.dumps({**GOOD, "source": "http://camera/x.jpg"}), "must be an address on a host of"),
        ("a.json", "x" * 2**19, "has more than"),
        ("a b.json", json.dumps(GOOD), "A station's name is"),
    ],
)
def test_a_station_that_cannot_be_used_is_one_sentence(tmp_path: Path, name: str, content: str, part: str) -> None:
    folder_of(tmp_path, good=GOOD)
    (tmp_path / name).write_text(content)
    with pytest.raises(SettingsError) as caught:
        Stations(tmp_path)
    assert str(tmp_path / name) in str(caught.value) and part in str(caught.value)


def test_a_source_must_be_a_listed_host(tmp_path: Path) -> None:
    folder_of(tmp_path, a={**GOOD, "source": "http://camera-1.local/x.jpg"})
    assert Stations(tmp_path, ImageHosts.parse("camera-1.local")).find("a")
    for hosts in (ImageHosts.parse("camera-2.local"), None):
        with pytest.raises(SettingsError, match="--image-hosts"):
            Stations(tmp_path, hosts)


def test_a_folder_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is no folder of stations"):
        Stations.of(Settings(stations=tmp_path / "nowhere"))


def test_stations_are_read_again_and_a_broken_one_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stations, reloader = Stations(folder_of(tmp_path, a=GOOD)), Reloader()
    stations.watched_by(reloader)

    def names_after_a_look() -> list[str]:
        for one in reloader._watched:
            one.look()
        return [station.name for station in stations.all]

    folder_of(tmp_path, b=GOOD)
    assert names_after_a_look() == ["a", "b"]
    assert "Stations were read again: there are 2." in caplog.text
    (tmp_path / "c.json").write_text("{")
    (tmp_path / "a.json").unlink()
    assert names_after_a_look() == ["a", "b"]
    assert names_after_a_look() == ["a", "b"]
    [error] = [one for one in caplog.records if one.levelname == "ERROR"]
    assert "c.json" in error.getMessage() and "The stations that were read before stay in use." in error.getMessage()
    (tmp_path / "c.json").unlink()
    assert names_after_a_look() == ["b"]
    # as an editor or a mount leaves them
    (tmp_path / ".b.json.swp.json").write_text("{")
    assert names_after_a_look() == ["b"]


def test_a_mounted_folder_changes_as_a_whole(tmp_path: Path) -> None:
    """Kubernetes sets one link anew, behind which all files are others."""
    for number, names in enumerate((["a"], ["a", "b"])):
        (tmp_path / f"..{number}").mkdir()
        folder_of(tmp_path / f"..{number}", **dict.fromkeys(names, GOOD))
    (tmp_path / "..data").symlink_to("..0")
    (tmp_path / "a.json").symlink_to("..data/a.json")
    stations, reloader = Stations(tmp_path), Reloader()
    stations.watched_by(reloader)
    (tmp_path / "new").symlink_to("..1")
    (tmp_path / "new").rename(tmp_path / "..data")
    (tmp_path / "b.json").symlink_to("..data/b.json")
    for one in reloader._watched:
        one.look()
    assert [station.name for station in stations.all] == ["a", "b"]
