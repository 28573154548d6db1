"""How sure an answer is, on every route, and what becomes of one that is not sure enough, or that is none."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edgevlm_server.refusals import NOT_SURE, Judge
from openai import OpenAI

from tests.live import LiveServer, sse
from tests.manifests import change_part
from tests.pictures import data_url
from tests.server.engines import DoubtfulEngine, until

Bundles = Callable[[str], Path]
SURE, END, WORDS = 0.9, 0.6, 3
ASKED = SURE**WORDS
"""Three tokens, and no end."""
HELLO = [{"role": "user", "content": "hello"}]
REFUSED = {"structured_outputs": {"choice": ["Unanswerable"]}}


@pytest.fixture(scope="module")
def server(bundles: Bundles) -> Iterator[LiveServer]:
    with LiveServer.on_engine(bundles("v2"), DoubtfulEngine(bundles("v2"), 4, SURE, END)) as server:
        yield server


def chat(server: LiveServer, **fields: Any) -> Any:
    response = server.client.post("/v1/chat/completions", json={"messages": HELLO, "max_tokens": WORDS, **fields})
    assert response.status_code == 200, response.text
    return response


def sent(form: dict[str, str]) -> dict[str, tuple[None, str]]:
    """As multipart, without a file."""
    return {name: (None, value) for name, value in form.items()}


def last_request(server: LiveServer, request_id: str) -> Any:
    """What `/status` says of a request, which is noted behind its answer."""
    until(lambda: [one.id for one in server.service.recent.last[:1]] == [request_id], "the request to be noted")
    return server.client.get("/status").json()["last_requests"][0]


def near(value: float) -> Any:
    return pytest.approx(value, rel=1e-3)


# ---- the number


def test_it_is_the_product_of_the_tokens_probabilities(server: LiveServer) -> None:
    response = chat(server)
    [choice] = response.json()["choices"]
    assert (choice["confidence"], choice["refused"]) == (near(ASKED), None)
    assert response.headers["x-confidence"] == f"{choice['confidence']:.4f}"
    assert "x-refused" not in response.headers


def test_the_end_token_counts_where_the_model_chose_it(server: LiveServer) -> None:
    body = chat(server, max_tokens=400).json()
    assert body["choices"][0]["finish_reason"] == "stop"
    tokens = body["usage"]["completion_tokens"]
    assert body["choices"][0]["confidence"] == pytest.approx(SURE ** (tokens - 1) * END, rel=0.02, abs=1e-6)


def test_it_agrees_with_logprobs_and_changes_no_answer(server: LiveServer) -> None:
    with_logprobs = chat(server, logprobs=True).json()["choices"][0]
    total = sum(token["logprob"] for token in with_logprobs["logprobs"]["content"])
    assert with_logprobs["confidence"] == pytest.approx(2.718281828**total, rel=1e-4)
    assert with_logprobs["message"] == chat(server).json()["choices"][0]["message"]


def test_a_form_and_penalties_do_not_make_it_surer(server: LiveServer) -> None:
    formed = chat(server, structured_outputs={"choice": ["zebra"]}, max_tokens=30).json()["choices"][0]
    assert formed["message"]["content"] == "zebra"
    assert formed["confidence"] < 1e-6
    heated = chat(server, temperature=2, seed=1, top_k=1).json()["choices"][0]
    assert heated["confidence"] == near(ASKED)
    text = chat(server).json()["choices"][0]["message"]["content"]
    ids = server.client.post("/tokenize", json={"prompt": text, "add_special_tokens": False}).json()["tokens"]
    # as much as leaves the choice as it is, and then more
    for bias, same in ((-1, True), (-5, False)):
        biased = chat(server, presence_penalty=1, logit_bias=dict.fromkeys(map(str, ids), bias)).json()["choices"][0]
        assert (biased["message"]["content"] == text) == same
        assert (biased["confidence"] == near(ASKED)) == same


@pytest.mark.slow
def test_the_temperature_of_its_maker_changes_it(bundles: Bundles, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(bundles("v2"), tmp_path / "bundle"))
    change_part(bundle, "about", confidence_temperature=2)
    with LiveServer.on_engine(bundle, DoubtfulEngine(bundle, 2, SURE)) as server:
        cooler = SURE**0.5 / (SURE**0.5 + (1 - SURE) ** 0.5)
        assert chat(server).json()["choices"][0]["confidence"] == pytest.approx(cooler**WORDS, rel=1e-2)


def test_every_route_says_it(server: LiveServer) -> None:
    post = server.client.post
    completion = post("/v1/completions", json={"prompt": "hello", "max_tokens": WORDS}).json()["choices"][0]
    [message] = post("/v1/responses", json={"input": "hello", "max_output_tokens": WORDS}).json()["output"]
    form = {"question": "hello", "max_tokens": str(WORDS)}
    plain = post("/ask", files=sent(form))
    asked = post("/ask", files=sent(form), headers={"accept": "application/json"}).json()
    for one in (completion, message, asked):
        assert (one["confidence"], one["refused"]) == (near(ASKED), None)
    assert float(plain.headers["x-confidence"]) == near(ASKED)


def test_streams_say_it_at_their_end(server: LiveServer) -> None:
    *chunks, done = sse(chat(server, stream=True))
    assert done == "[DONE]"
    *others, last = [chunk["choices"][0] for chunk in chunks if isinstance(chunk, dict)]
    assert (last["confidence"], last["refused"], last["finish_reason"]) == (near(ASKED), None, "length")
    assert not any("confidence" in one for one in others)


def test_each_of_several_answers_has_its_own(server: LiveServer) -> None:
    response = chat(server, n=2, temperature=1, seed=5, max_tokens=8)
    assert len({choice["confidence"] for choice in response.json()["choices"]}) == 2
    assert "x-confidence" not in response.headers


# ---- not sure enough


def test_an_answer_that_is_not_sure_enough_is_a_refusal(server: LiveServer) -> None:
    response = chat(server, min_confidence=0.8, logprobs=True)
    [choice] = response.json()["choices"]
    assert choice["message"] == {"role": "assistant", "content": None, "refusal": NOT_SURE}
    assert (choice["refused"], choice["confidence"]) == ("low_confidence", near(ASKED))
    assert choice["logprobs"]["content"] == []
    assert response.headers["x-refused"] == "low_confidence"
    assert chat(server, min_confidence=0.7).json()["choices"][0]["message"]["refusal"] is None


@pytest.mark.parametrize("least", [0.7, 0.8])
def test_a_stream_lets_nothing_out_before_it_is_sure(server: LiveServer, least: float) -> None:
    whole = chat(server, min_confidence=least).json()["choices"][0]
    *chunks, _ = sse(chat(server, stream=True, min_confidence=least))
    choices = [chunk["choices"][0] for chunk in chunks if isinstance(chunk, dict)]
    deltas = [choice["delta"] for choice in choices]
    said = {"content": whole["message"]["content"]} if least == 0.7 else {"refusal": NOT_SURE}
    assert deltas == [{"role": "assistant", "content": ""}, said, {}]
    names = ("confidence", "refused", "finish_reason")
    assert [choices[-1][name] for name in names] == [whole[name] for name in names]


def test_a_form_has_a_status_for_it(server: LiveServer) -> None:
    form = {"question": "hello", "max_tokens": str(WORDS), "min_confidence": ".8"}
    response = server.client.post("/ask", files=sent(form))
    assert (response.status_code, response.json()["error"]["code"]) == (422, "low_confidence")
    assert (float(response.headers["x-confidence"]), response.headers["x-refused"]) == (near(ASKED), "low_confidence")
    form["min_confidence"] = "0.7"
    assert server.client.post("/ask", files=sent(form)).status_code == 200


@pytest.mark.parametrize("text", ["much", "1.5", "-1", "", "nan"])
def test_a_form_takes_a_number_from_0_to_1(server: LiveServer, text: str) -> None:
    response = server.client.post("/ask", files=sent({"question": "hello", "min_confidence": text}))
    assert (response.status_code, response.json()["error"]["param"]) == (400, "min_confidence")


@pytest.mark.slow
def test_a_server_may_have_a_default(bundles: Bundles) -> None:
    engine = DoubtfulEngine(bundles("v2"), 2, SURE)
    with LiveServer.on_engine(bundles("v2"), engine, min_confidence=0.8) as server:
        assert chat(server).json()["choices"][0]["refused"] == "low_confidence"
        assert chat(server, min_confidence=0).json()["choices"][0]["refused"] is None
        # a text that goes on has no other place than itself
        body = {"prompt": "hello", "max_tokens": WORDS}
        assert server.client.post("/v1/completions", json=body).json()["choices"][0]["refused"] is None


def test_text_completions_know_no_refusal(server: LiveServer) -> None:
    body = {"prompt": "hello", "max_tokens": WORDS, "min_confidence": 0.5}
    response = server.client.post("/v1/completions", json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "min_confidence")


# ---- the model says that it cannot tell


@pytest.mark.parametrize(
    ("text", "least", "refused"),
    [
        ("I cannot see that.", 0.0, "by_model"),
        ("  i CANNOT\n see  that ", 0.9, "by_model"),
        ("I cannot see that. Sorry.", 0.0, None),
        ("", 0.0, None),
        ("yes", 0.5, "low_confidence"),
        ("yes", 0.4, None),
    ],
)
def test_what_counts_as_none(text: str, least: float, refused: str | None) -> None:
    assert Judge("I cannot see that.", least).refused(text, 0.4) == refused


def test_its_own_refusal_is_named_and_stays(server: LiveServer) -> None:
    response = chat(server, min_confidence=0.5, max_tokens=30, **REFUSED)
    [choice] = response.json()["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Unanswerable", "refusal": None}
    assert (choice["refused"], response.headers["x-refused"]) == ("by_model", "by_model")


# ---- OpenAI's client


def test_openais_client_reads_refusals_and_is_not_disturbed(server: LiveServer) -> None:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        asked: dict[str, Any] = {"model": "v2", "messages": HELLO, "max_tokens": WORDS}
        sure = client.chat.completions.create(**asked).choices[0]
        assert sure.message.refusal is None
        assert sure.model_extra is not None
        assert sure.model_extra["confidence"] == near(ASKED)
        doubtful = client.chat.completions.create(**asked, extra_body={"min_confidence": 0.8}).choices[0]
        assert (doubtful.message.content, doubtful.message.refusal) == (None, NOT_SURE)
        # and it sends the turn back as it came
        again = [*HELLO, doubtful.message.model_dump(), *HELLO]
        assert client.chat.completions.create(**{**asked, "messages": again}).choices[0].message.content
        with client.chat.completions.stream(**asked, extra_body={"min_confidence": 0.8}) as stream:
            assert stream.get_final_completion().choices[0].message.refusal == NOT_SURE


@pytest.mark.slow
def test_openais_client_reads_responses_with_a_refusal(server: LiveServer) -> None:
    asked: dict[str, Any] = {"model": "v2", "input": "hello", "max_output_tokens": WORDS}
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        doubtful = client.responses.create(**asked, extra_body={"min_confidence": 0.8})
        assert doubtful.output_text == ""
        [message] = doubtful.output
        assert message.to_dict()["refused"] == "low_confidence"
        assert message.to_dict()["content"] == [{"type": "refusal", "refusal": NOT_SURE}]
        again = [{"role": "user", "content": "hello"}, message.to_dict(), {"role": "user", "content": "and now?"}]
        assert client.responses.create(**{**asked, "input": again}).output_text
        with client.responses.stream(**asked, extra_body={"min_confidence": 0.8}) as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_response()
    assert final.output[0].to_dict()["content"] == [{"type": "refusal", "refusal": NOT_SURE}]
    assert [kind for kind in kinds if "refusal" in kind] == ["response.refusal.delta", "response.refusal.done"]
    assert not any("output_text" in kind for kind in kinds)


# ---- whoever looks after it


def test_record_and_status_know_it(server: LiveServer) -> None:
    response = chat(server, min_confidence=0.8)
    last = last_request(server, response.headers["x-request-id"])
    assert (last["confidence"], last["refused"], last["outcome"]) == (near(ASKED), "low_confidence", "ok")


@pytest.mark.slow
def test_the_audit_keeps_what_was_held_back(bundles: Bundles, tmp_path: Path) -> None:
    engine = DoubtfulEngine(bundles("v2"), 2, SURE)
    with LiveServer.on_engine(bundles("v2"), engine, audit=tmp_path) as server:
        text = chat(server).json()["choices"][0]["message"]["content"]
        chat(server, min_confidence=0.8)
    files = sorted(tmp_path.rglob("*.jsonl"))
    told, held = [json.loads(line)["answers"] for file in files for line in file.read_text().splitlines()]
    assert told == [{"text": text, "finish_reason": "length", "confidence": near(ASKED), "refused": None}]
    assert held == [{**told[0], "finish_reason": "stop", "refused": "low_confidence"}]


@pytest.mark.slow
def test_readings_keep_to_the_servers_default_and_are_noted(bundles: Bundles) -> None:
    fields = [{"name": "lamp", "question": "Which?", "type": "choice", "choices": ["red", "green"]}]
    body = {"image": data_url(), "fields": fields}
    engine = DoubtfulEngine(bundles("v2"), 2, SURE)
    with LiveServer.on_engine(bundles("v2"), engine, min_confidence=0.5) as server:
        response = server.client.post("/v1/readings", json=body)
        [doubtful] = response.json()["fields"]
        assert (doubtful["value"], doubtful["reason"]) == (None, "low_confidence")
        last = last_request(server, response.headers["x-request-id"])
        assert (last["confidence"], last["refused"]) == (doubtful["confidence"], "low_confidence")
        assert server.metrics()['edgevlm_answers_refused_total{reason="low_confidence"}'] == 1
        [taken] = server.client.post("/v1/readings", json={**body, "min_confidence": 0}).json()["fields"]
        assert taken["value"] is not None


def test_the_description_of_the_api_names_status_and_headers(server: LiveServer) -> None:
    document = server.client.get("/openapi.json").json()
    for status in ("200", "422"):
        headers = document["paths"]["/ask"]["post"]["responses"][status]["headers"]
        assert {"x-confidence", "x-refused", "x-request-id"} <= {*headers}, status
    assert "422" not in document["paths"]["/v1/chat/completions"]["post"]["responses"]
