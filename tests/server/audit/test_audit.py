"""The audit of a live server: who asked what with which pictures, and what the answer was, however it went."""

import base64
import hashlib
import json
import stat
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings, SettingsError

from tests.live import LiveServer, sse
from tests.pictures import data_url, image_part, text_part, user
from tests.server.engines import SlowEngine
from tests.server.observe.test_record import leave_after

Bundles = Callable[[str], Path]


def png(colour: tuple[int, int, int]) -> bytes:
    """The file in `data_url`."""
    return base64.b64decode(data_url(colour).partition(",")[2])


def lines(folder: Path) -> list[dict[str, Any]]:
    """In the order in which they were written."""
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
def test_a_line_tells_of_question_and_answer(bundles: Bundles, tmp_path: Path, stream: bool) -> None:
    body = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            user(text_part("Is it shut?"), image_part(data_url((9, 9, 9))), text_part("The valve."))[0],
        ],
        "max_tokens": 6,
        "stream": stream,
        "n": 2,
        "logprobs": True,
    }
    before = time.time()
    with LiveServer.on_bundle(bundles("v2"), engine="echo", audit=tmp_path) as server:
        response = server.client.post("/v1/chat/completions", json=body, headers={"x-request-id": "frame-7"})
        texts = told(response, stream)
        written = server.metrics()['edgevlm_audit_written_total{kind="request"}']
        assert written <= 1
    [line] = lines(tmp_path)
    picture = png((9, 9, 9))
    assert (line["id"], line["client"], line["address"]) == ("frame-7", None, "127.0.0.1")
    assert (line["route"], line["model"]) == ("/v1/chat/completions", "v2")
    assert (line["question"], line["system"]) == ("Is it shut?\nThe valve.", "Be brief.")
    assert [answer["text"] for answer in line["answers"]] == texts
    assert all(answer["finish_reason"] == "length" for answer in line["answers"])
    assert all(0 < answer["confidence"] <= 1 for answer in line["answers"])
    digest = hashlib.sha256(picture).hexdigest()
    assert line["pictures"] == [{"sha256": digest, "size": len(picture), "format": "PNG", "region": None}]
    assert (line["status"], line["outcome"], line["code"]) == (200, "ok", None)
    assert before - 1 < datetime.fromisoformat(line["time"]).timestamp() < time.time()
    assert not (tmp_path / "pictures").exists()


def told(response: Any, stream: bool) -> list[str]:
    """The answers as the client got them."""
    assert response.status_code == 200
    if not stream:
        return [choice["message"]["content"] for choice in response.json()["choices"]]
    texts = ["", ""]
    for event in sse(response):
        if isinstance(event, dict):
            for choice in event["choices"]:
                texts[choice["index"]] += choice["delta"].get("content") or ""
    return texts


@pytest.mark.slow
def test_every_generating_route_is_audited(bundles: Bundles, tmp_path: Path) -> None:
    ids = [1, 300, 301]
    with LiveServer.on_bundle(bundles("v2"), engine="echo", audit=tmp_path) as server:
        shown = server.client.post("/detokenize", json={"tokens": ids}).json()["prompt"]
        posts: list[tuple[str, dict[str, Any]]] = [
            ("/v1/completions", {"prompt": "Once", "max_tokens": 3}),
            ("/v1/completions", {"prompt": ids, "max_tokens": 3}),
            ("/v1/responses", {"input": "Is it on?", "max_output_tokens": 16}),
        ]
        answers = [server.client.post(path, json=body) for path, body in posts]
        answers.append(server.client.post("/ask", files={"image": png((1, 2, 3))}, data={"question": "What?"}))
        asked = [
            {"type": "predicate", "name": "lit", "instructions": "Is the lamp lit?"},
            {
                "type": "choice",
                "name": "colour",
                "instructions": "Which?",
                "choices": [{"value": "red"}, {"value": "blue"}],
            },
        ]
        decided = server.client.post("/v1/decisions", json={"input": "The lamp.", "questions": asked})
        assert [one.status_code for one in (*answers, decided)] == [200] * 5
        server.client.get("/v1/models")
    found = lines(tmp_path)
    assert [line["route"] for line in found] == [*(path for path, _ in posts), "/ask", "/v1/decisions"]
    assert [line["question"].strip() for line in found[:4]] == ["Once", shown, "Is it on?", "What?"]
    assert found[0]["answers"][0]["text"] == answers[0].json()["choices"][0]["text"]
    assert all(0 <= line["answers"][0]["confidence"] <= 1 for line in found)
    assert f"{found[3]['answers'][0]['text']}\n" == answers[3].text
    assert found[4]["question"] == "The lamp.\nIs the lamp lit?\nWhich?"
    assert found[4]["answers"] == decided.json()["answers"]


@pytest.mark.slow
def test_what_was_refused_is_there_with_its_reason(bundles: Bundles, tmp_path: Path) -> None:
    broken = image_part("data:image/png;base64,AAAA")
    bodies: list[dict[str, Any]] = [
        {"messages": user(text_part("a"), broken)},
        {"messages": user(text_part("b")), "model": "other"},
        {"messages": 7},
    ]
    with LiveServer.on_bundle(bundles("v2"), engine="echo", audit=tmp_path, audit_pictures=True) as server:
        codes = [server.client.post("/v1/chat/completions", json=body).json()["error"]["code"] for body in bodies]
    found = lines(tmp_path)
    assert [line["code"] for line in found] == codes
    assert [line["question"] for line in found] == ["a", "b", None]
    assert all(line["outcome"] == "refused" and line["answers"] == [] for line in found)
    [picture] = found[0]["pictures"]
    assert (picture["sha256"], picture["kept"]) == (hashlib.sha256(b"\0\0\0").hexdigest(), False)


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_is_there_with_what_was_said(bundles: Bundles, tmp_path: Path, stream: bool) -> None:
    engine = SlowEngine(bundles("v2"), slots=1, seconds=0.1)
    with LiveServer.on_engine(bundles("v2"), engine, audit=tmp_path) as server:
        body = {"messages": user(text_part("hello")), "max_tokens": 500, "ignore_eos": True, "stream": stream}
        leave_after(server, body, lambda: engine.decoded > 3)
    [line] = lines(tmp_path)
    assert (line["outcome"], line["question"]) == ("left", "hello")
    assert line["answers"][0]["text"]
    assert line["answers"][0]["finish_reason"] is None


@pytest.mark.slow
def test_pictures_are_kept_once_under_their_digest(bundles: Bundles, tmp_path: Path) -> None:
    red, blue = png((200, 0, 0)), png((0, 0, 200))
    named = {**image_part(data_url((200, 0, 0))), "uuid": "gauge"}
    with LiveServer.on_bundle(bundles("v2"), engine="echo", audit=tmp_path, audit_pictures=True) as server:
        for parts in ([named], [image_part(data_url((0, 0, 200))), {"type": "image_url", "uuid": "gauge"}]):
            body = {"messages": user(*parts, text_part("?")), "max_tokens": 1}
            assert server.client.post("/v1/chat/completions", json=body).status_code == 200
    first, second = (hashlib.sha256(one).hexdigest() for one in (red, blue))
    found = lines(tmp_path)
    assert [one["sha256"] for line in found for one in line["pictures"]] == [first, second, first]
    assert all(one["kept"] for line in found for one in line["pictures"])
    assert found[1]["pictures"][1]["size"] is None
    stored = {path.name: path.read_bytes() for path in (tmp_path / "pictures").rglob("*") if path.is_file()}
    assert stored == {first: red, second: blue}


@pytest.mark.slow
def test_only_its_owner_may_read_it(bundles: Bundles, tmp_path: Path) -> None:
    folder = tmp_path / "below" / "audit"
    with LiveServer.on_bundle(bundles("v2"), engine="echo", audit=folder, audit_pictures=True) as server:
        body = {"messages": user(image_part(data_url((1, 1, 1))), text_part("?")), "max_tokens": 1}
        assert server.client.post("/v1/chat/completions", json=body).status_code == 200
    found = [folder, *folder.rglob("*")]
    assert len(found) == 5
    for path in found:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.slow
def test_the_client_is_named_and_no_key_is_written(bundles: Bundles, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    key = add_key(file, "camera-1")
    settings = Settings(engine="echo", audit=tmp_path / "audit")
    with LiveServer(lambda: load_model(bundles("v2"), settings), settings, KeyRing.load(file)) as server:
        server.client.headers["authorization"] = f"Bearer {key}"
        assert server.chat("hello", max_tokens=1).status_code == 200
        server.client.headers["authorization"] = "Bearer wrong"
        assert server.chat("hello", max_tokens=1).status_code == 401
    [line] = lines(tmp_path / "audit")
    assert line["client"] == "camera-1"
    assert all(key not in path.read_text() for path in (tmp_path / "audit").glob("*.jsonl"))


@pytest.mark.slow
def test_without_an_audit_nothing_is_held(bundles: Bundles) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
        exchanges = []
        server.service.readers.add(lambda record: exchanges.append(record.exchange))
        assert server.chat("hello", max_tokens=1).status_code == 200
    assert exchanges == [None]


def test_an_audit_that_cannot_be_kept_is_said_at_the_start(bundles: Bundles, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        LiveServer.on_bundle(bundles("v2"), engine="echo", audit=tmp_path / "file").__enter__()
    with pytest.raises(SettingsError, match="--audit DIR"):
        Settings(audit_pictures=True).check()
