"""However an answer that is filled field by field ends, its sequences and its places end with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import LiveServer, sse
from tests.pictures import image_part, text_part, user
from tests.server.engines import BabblingEngine, FailingEngine, SlowEngine, until
from tests.server.http.leaving import leave_once_accepted
from tests.server.http.refusing import check_error
from tests.server.http.test_decisions import balanced
from tests.server.http.test_filled import Body, form, obj

Bundles = Callable[[str], Path]

LONG = {"type": ["string", "null"], "pattern": "^[a-z]{200}$"}
FOUR = obj(dict.fromkeys("abcd", LONG))
SHORT = obj({name: {"type": ["string", "null"], "pattern": "^[a-z]{3}$"} for name in "abcd"})


def request(schema: Body, **fields: Any) -> Body:
    return {"messages": user(image_part(), text_part()), "response_format": form(schema), **fields}


def ask(server: LiveServer, schema: Body, **fields: Any) -> httpx.Response:
    return server.client.post("/v1/chat/completions", json=request(schema, **fields))


@pytest.mark.slow
def test_more_fields_than_slots_come_in_waves(bundles: Bundles) -> None:
    with LiveServer.on_engine(bundles("v2"), BabblingEngine(bundles("v2"), 2, seconds=0)) as server:
        answers = [ask(server, SHORT, **fields).json() for fields in ({}, {}, {"n": 2})]
        texts = [choice["message"]["content"] for answer in answers for choice in answer["choices"]]
        assert len(texts) == 4 and len({*texts}) == 1, "greedy answers are the same, alone or beside others"
        assert [*json.loads(texts[0])] == ["a", "b", "c", "d"]
        one, _, two = (answer["usage"] for answer in answers)
        assert two["prompt_tokens"] == one["prompt_tokens"]
        assert two["completion_tokens"] == 2 * one["completion_tokens"]
        balanced(server)


@pytest.mark.slow
def test_what_is_cut_short_is_unfinished_and_not_merely_doubtful(bundles: Bundles) -> None:
    with LiveServer.on_engine(bundles("v2"), BabblingEngine(bundles("v2"), 1, seconds=0)) as server:
        schema = obj({"a": {"type": "string", "pattern": "^[a-z]{200}$"}})
        [choice] = ask(server, schema, max_tokens=1, min_confidence=1.0).json()["choices"]
        assert (choice["finish_reason"], choice["refused"]) == ("length", None)
        assert not server.metrics().get('edgevlm_answers_refused_total{reason="low_confidence"}')
        assert ask(server, obj({"a": {"enum": ["red", "green"]}}), min_confidence=1.0).json()["choices"][0]["refused"]
        assert server.metrics()['edgevlm_answers_refused_total{reason="low_confidence"}'] == 1


@pytest.mark.slow
def test_who_leaves_leaves_nothing_running(bundles: Bundles) -> None:
    engine = SlowEngine(bundles("v2"), slots=2, seconds=0.1)
    with LiveServer.on_engine(bundles("v2"), engine) as server:
        leave_once_accepted(server, "/v1/chat/completions", {"json": request(FOUR)})
        balanced(server)
        assert engine.decoded < 100


@pytest.mark.slow
def test_one_that_breaks_off_is_in_the_audit_as_far_as_it_came(bundles: Bundles, tmp_path: Path) -> None:
    schema = obj({"a": {"type": "string", "pattern": "^[a-z]$"}, "b": {"type": "string", "pattern": "^[a-z]{200}$"}})
    engine = FailingEngine(bundles("v2"), slots=1, fail_at=100)
    with LiveServer.on_engine(bundles("v2"), engine, audit=tmp_path) as server:
        assert ask(server, schema).status_code == 503
    [line] = lines(tmp_path)
    [answer] = line["answers"]
    assert json.loads(answer["text"]).keys() == {"a"} and answer["finish_reason"] is None


@pytest.mark.slow
@pytest.mark.parametrize("before", [0, 1])
def test_time_that_is_up_ends_it_in_any_wave(bundles: Bundles, before: int) -> None:
    """With one slot each field is a wave; short ones come `before` those that take too long."""
    schema = obj({**{f"{number}": SHORT["properties"]["a"] for number in range(before)}, **FOUR["properties"]})
    engine = SlowEngine(bundles("v2"), slots=1, seconds=0.1)
    with LiveServer.on_engine(bundles("v2"), engine, request_timeout=5.0) as server:

        def came_so_far() -> bool:
            """At first grammars and the picture may take all of the time; they are known from then on."""
            check_error(ask(server, schema), 504, "answer_timeout")
            balanced(server)
            return server.metrics()["edgevlm_requests_completed_total"] >= before

        until(came_so_far, "its time to be up in that wave")


@pytest.mark.slow
def test_an_engine_that_fails_before_any_text_is_a_503(bundles: Bundles) -> None:
    with LiveServer.on_engine(bundles("v2"), FailingEngine(bundles("v2"), slots=2, fail_at=2)) as server:
        assert ask(server, FOUR).status_code == 503
        balanced(server)


@pytest.mark.slow
def test_one_that_fails_behind_it_is_the_last_event(bundles: Bundles) -> None:
    schema = obj({"a": {"type": ["string", "null"], "pattern": "^[a-z]$"}, "b": LONG})
    with LiveServer.on_engine(bundles("v2"), FailingEngine(bundles("v2"), slots=2, fail_at=100)) as server:
        with server.client.stream("POST", "/v1/chat/completions", json=request(schema, stream=True)) as response:
            events = [event for event in sse(response) if not isinstance(event, str)]
        assert events[1]["choices"][0]["delta"]["content"].startswith('{"a": ')
        assert events[-1]["error"]["type"]
        balanced(server)


@pytest.mark.slow
def test_the_audit_has_what_was_written_and_what_was_withheld(bundles: Bundles, tmp_path: Path) -> None:
    narrow = obj({"a": {"type": "integer", "minimum": 5, "maximum": 4}})
    with LiveServer.on_bundle(bundles("v2"), engine="echo", audit=tmp_path) as server:
        whole = ask(server, SHORT).json()["choices"][0]
        none = ask(server, narrow).json()["choices"][0]
        until(lambda: len([*lines(tmp_path)]) == 2, "both lines")
    [first], [second] = (line["answers"] for line in lines(tmp_path))
    assert first["text"] == whole["message"]["content"]
    assert none["message"]["content"] is None and second["refused"] == none["refused"] == "out_of_range"
    assert json.loads(second["text"]).keys() == {"a"}


def lines(folder: Path) -> list[Body]:
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]
