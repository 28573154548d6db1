"""JSON that is filled field by field: as right as a free answer, always whole, refused where nothing is seen."""

import base64
import json
import math
from pathlib import Path
from typing import Any, Literal

import httpx
import openai
import pytest
from jsonschema import Draft202012Validator
from openai import OpenAI
from pydantic import BaseModel

from tests.live import LiveServer, sse
from tests.server.http.refusing import check_error

EXAMPLES = Path(__file__).parents[3] / "examples"
REFUSAL = "I cannot see that in the image."
QUESTIONS = {
    "lamp.png": "Which lamp is on?",
    "display.jpg": "What does the display read?",
    "gauge.jpg": "What does the gauge read?",
    "label.jpg": "What is the serial number on the label?",
    "flange.jpg": "How many bolts are missing?",
}
LAMP = {"enum": ["none", "red", "amber", "green", "blue"]}
NUMBER = {"type": "number"}
Body = dict[str, Any]


def address(name: str) -> str:
    kind = "png" if name.endswith("png") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode((EXAMPLES / name).read_bytes()).decode()}"


MODEL = "edgevlm-demo"


def messages(name: str, text: str | None = None) -> list[Body]:
    picture = {"type": "image_url", "image_url": {"url": address(name)}}
    return [{"role": "user", "content": [picture, {"type": "text", "text": text or QUESTIONS[name]}]}]


def obj(properties: Body, **others: Any) -> Body:
    required = {"required": [*properties], "additionalProperties": False}
    return {"type": "object", "properties": properties, **required, **others}


def form(schema: Body, **others: Any) -> Body:
    return {"type": "json_schema", "json_schema": {"name": "reading", "schema": schema, **others}}


def post(server: LiveServer, name: str, schema: Body, text: str | None = None, **fields: Any) -> httpx.Response:
    body = {"messages": messages(name, text), "response_format": form(schema), **fields}
    return server.client.post("/v1/chat/completions", json=body)


def choice(server: LiveServer, name: str, schema: Body, text: str | None = None, **fields: Any) -> Body:
    response = post(server, name, schema, text, **fields)
    assert response.status_code == 200, response.text
    [found] = response.json()["choices"]
    if found["message"]["content"]:
        Draft202012Validator(schema).validate(json.loads(found["message"]["content"]))
    return found  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def client(demo: LiveServer) -> Any:
    with OpenAI(base_url=f"{demo.url}/v1", api_key="none", max_retries=0) as made:
        yield made


RIGHT = [
    ("lamp.png", obj({"lamp": LAMP}), {"lamp": "amber"}),
    ("display.jpg", obj({"value": NUMBER}), {"value": 834.2}),
    ("gauge.jpg", obj({"value": NUMBER}), {"value": 3.0}),
    ("label.jpg", obj({"serial": {"type": "string"}}), {"serial": "61A530"}),
    ("flange.jpg", obj({"missing": {"type": "integer"}}), {"missing": 3}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "schema", "value"), RIGHT, ids=[name for name, *_ in RIGHT])
def test_json_is_as_right_as_the_free_answer(demo: LiveServer, name: str, schema: Body, value: Body) -> None:
    found = choice(demo, name, schema)
    assert found["message"]["content"] == json.dumps(value)
    assert (found["finish_reason"], found["refused"], found["message"]["refusal"]) == ("stop", None, None)
    assert 0.5 < found["confidence"] <= 1
    picture = {"type": "input_image", "image_url": address(name)}
    content = [picture, {"type": "input_text", "text": QUESTIONS[name]}]
    text = {"format": {"type": "json_schema", "name": "reading", "schema": schema}}
    body = {"input": [{"role": "user", "content": content}], "text": text}
    answer = demo.client.post("/v1/responses", json=body).json()
    [message] = answer["output"]
    assert message["content"][0]["text"] == json.dumps(value)
    assert message["confidence"] == found["confidence"]


@pytest.mark.parametrize("name", QUESTIONS)
def test_any_object_holds_the_free_answer(demo: LiveServer, name: str) -> None:
    asked = {"messages": messages(name)}
    free = demo.client.post("/v1/chat/completions", json=asked).json()["choices"][0]["message"]["content"]
    asked["response_format"] = {"type": "json_object"}  # type: ignore[assignment]
    found = demo.client.post("/v1/chat/completions", json=asked).json()["choices"][0]
    assert json.loads(found["message"]["content"]) == {"answer": free}


PANEL = obj(
    {
        "display": obj({"value": {**NUMBER, "description": "What does the display read?"}}),
        "gauge": {**NUMBER, "description": "What does the gauge read?"},
        "unit": {"const": "bar"},
    }
)


def test_an_object_in_an_object_is_filled_in_its_order(demo: LiveServer) -> None:
    found = choice(demo, "panel.jpg", PANEL, "Read the panel.")
    assert found["message"]["content"] == '{"display": {"value": 3.7}, "gauge": 10.0, "unit": "bar"}'


@pytest.mark.slow
def test_all_fields_are_counted_and_share_the_picture(demo_model: Path) -> None:
    with LiveServer.on_bundle(demo_model) as server:
        both = post(server, "panel.jpg", PANEL, "Read the panel.").json()["usage"]
        display = {"display": PANEL["properties"]["display"]}
        one = post(server, "panel.jpg", obj(display), "Read the panel.").json()["usage"]
    assert 1.8 * one["prompt_tokens"] < both["prompt_tokens"] < 2.2 * one["prompt_tokens"]
    assert both["completion_tokens"] > one["completion_tokens"]
    # nothing was asked before: it is the second field that finds the picture
    assert 0.8 * one["prompt_tokens"] < both["prompt_tokens_details"]["cached_tokens"] < one["prompt_tokens"]


OR_NULL = {"anyOf": [LAMP, {"type": "null"}]}


def test_what_is_not_seen_is_null_where_that_is_allowed(demo: LiveServer) -> None:
    found = choice(demo, "gauge.jpg", obj({"lamp": OR_NULL}), "Which lamp is on?")
    assert found["message"] == {"role": "assistant", "content": '{"lamp": null}', "refusal": None}
    assert found["refused"] == "by_model"
    gauge = {**NUMBER, "description": "What does the gauge read?"}
    both = obj({"gauge": gauge, "lamp": {**OR_NULL, "description": "Which lamp is on?"}})
    found = choice(demo, "gauge.jpg", both, "Read it.")
    assert found["message"]["content"] == '{"gauge": 3.0, "lamp": null}'
    assert found["refused"] is None


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_not_seen_is_a_refusal_elsewhere(demo: LiveServer, client: OpenAI, stream: bool) -> None:
    class Panel(BaseModel):
        lamp: Literal["none", "red", "amber", "green"]

    asked: Any = {
        "model": MODEL,
        "messages": messages("gauge.jpg", "Which lamp is on?"),
        "response_format": Panel,
    }
    if stream:
        with client.chat.completions.stream(**asked) as events:
            message = events.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.parse(**asked).choices[0].message
    assert (message.refusal, message.parsed) == (REFUSAL, None)
    assert not message.content


@pytest.mark.slow
def test_a_refusal_in_the_responses_api(client: OpenAI) -> None:
    class Panel(BaseModel):
        lamp: Literal["none", "red", "amber", "green"]

    picture: Any = {"type": "input_image", "image_url": address("gauge.jpg"), "detail": "auto"}
    content: Any = [picture, {"type": "input_text", "text": "Which lamp is on?"}]
    answer = client.responses.parse(model=MODEL, input=[{"role": "user", "content": content}], text_format=Panel)
    [message] = answer.output
    assert message.type == "message" and message.content[0].type == "refusal"
    assert message.content[0].refusal == REFUSAL
    assert answer.output_parsed is None


def test_pydantic_reads_what_was_filled(client: OpenAI) -> None:
    class Gauge(BaseModel):
        """A gauge on a machine."""

        value: float

    class Reading(BaseModel):
        gauge: Gauge | None
        lamp: Literal["red", "amber"] | None

    def parsed(kind: type[BaseModel]) -> BaseModel | None:
        asked: Any = {"model": MODEL, "messages": messages("gauge.jpg"), "response_format": kind}
        return client.chat.completions.parse(**asked).choices[0].message.parsed

    assert parsed(Gauge) == Gauge(value=3.0)
    assert isinstance(parsed(Reading), Reading)


def test_a_doubtful_value_is_null_or_refuses_the_whole(demo: LiveServer) -> None:
    found = choice(demo, "lamp.png", obj({"lamp": LAMP}), min_confidence=1.0)
    assert found["message"]["content"] is None and found["refused"] == "low_confidence"
    found = choice(demo, "lamp.png", obj({"lamp": OR_NULL}), min_confidence=1.0)
    assert found["message"]["content"] == '{"lamp": null}' and found["refused"] == "low_confidence"


def test_a_value_that_is_not_allowed_refuses_the_whole(demo: LiveServer) -> None:
    found = choice(demo, "display.jpg", obj({"value": {**NUMBER, "maximum": 100}}))
    assert found["message"]["content"] is None and found["refused"] == "out_of_range"


def streamed(server: LiveServer, name: str, schema: Body, **fields: Any) -> tuple[list[str], list[Body]]:
    body = {"messages": messages(name, "Read it."), "response_format": form(schema), "stream": True, **fields}
    with server.client.stream("POST", "/v1/chat/completions", json=body) as response:
        events = [event["choices"][0] for event in sse(response) if not isinstance(event, str) and event["choices"]]
    return [event["delta"]["content"] for event in events if event["delta"].get("content")], events


def test_a_stream_brings_fields_as_they_end(demo: LiveServer) -> None:
    read = {"type": ["number", "null"], "description": "What does the gauge read?"}
    schema = obj({"gauge": read, "lamp": {**OR_NULL, "description": "Which lamp is on?"}})
    pieces, events = streamed(demo, "gauge.jpg", schema)
    assert pieces == ['{"gauge": 3.0, "lamp": ', "null}"]
    assert events[-1]["finish_reason"] == "stop" and 0 < events[-1]["confidence"] <= 1


def test_several_answers_are_each_whole(demo: LiveServer) -> None:
    reply = post(demo, "lamp.png", obj({"lamp": LAMP}), n=3, temperature=0.1, seed=1).json()
    assert [one["message"]["content"] for one in reply["choices"]] == ['{"lamp": "amber"}'] * 3
    assert [one["index"] for one in reply["choices"]] == [0, 1, 2]


def test_probabilities_are_the_fields(demo: LiveServer) -> None:
    for stream in (False, True):
        fields: Any = {"logprobs": True, "top_logprobs": 2, "stream": stream}
        schema = obj(
            {"gauge": {"type": ["number", "null"], "description": "What does the gauge read?"}, "a": OR_NULL}
        )
        if stream:
            _, events = streamed(demo, "gauge.jpg", schema, **fields)
            text = "".join(event["delta"].get("content") or "" for event in events)
            listed = [one for event in events if event["logprobs"] for one in event["logprobs"]["content"]]
            confidence = events[-1]["confidence"]
        else:
            found = choice(demo, "gauge.jpg", schema, "Read it.", **fields)
            text, listed = found["message"]["content"], found["logprobs"]["content"]
            confidence = found["confidence"]
        assert "".join(one["token"] for one in listed) == text
        assert all(one["logprob"] <= 0 and one["top_logprobs"] == [] for one in listed)
        # a piece for each field, and the least sure is that of the whole
        assert min(math.exp(one["logprob"]) for one in listed) == pytest.approx(confidence, rel=1e-4)


def test_a_stop_text_cuts_what_is_written(demo: LiveServer) -> None:
    response = post(demo, "lamp.png", obj({"lamp": LAMP}), stop=["amb"])
    assert response.json()["choices"][0]["message"]["content"] == '{"lamp": "'


def test_a_field_that_is_cut_short_ends_the_answer(demo: LiveServer, client: OpenAI) -> None:
    class Label(BaseModel):
        serial: str

    asked: Any = {
        "model": MODEL,
        "messages": messages("label.jpg"),
        "response_format": Label,
        "max_tokens": 2,
    }
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(**asked)


@pytest.mark.parametrize("field", [{"min_tokens": 5}, {"ignore_eos": True}])
def test_what_has_no_place_in_it_is_refused(demo: LiveServer, field: Body) -> None:
    error = post(demo, "lamp.png", obj({"lamp": LAMP}), **field).json()["error"]
    assert error["param"] == next(iter(field)) and "fill" in error["message"]


def test_the_model_writes_all_of_it_if_asked_to(demo: LiveServer) -> None:
    def answer(**others: Any) -> Body:
        body = {"messages": messages("lamp.png"), "response_format": form(obj({"lamp": LAMP}), **others)}
        return demo.client.post("/v1/chat/completions", json=body).json()  # type: ignore[no-any-return]

    free, filled = answer(fill=False), answer(fill=True)
    assert filled["choices"][0]["message"]["content"] == '{"lamp": "amber"}'
    # keys and punctuation are tokens of the model's own
    assert free["usage"]["completion_tokens"] > filled["usage"]["completion_tokens"]


def test_a_schema_that_must_be_filled_and_cannot_is_told_why(demo: LiveServer) -> None:
    schema = obj({"parts": {"type": "array", "items": obj({"name": {"type": "string"}})}})
    body = {"messages": messages("lamp.png"), "response_format": form(schema, fill=True)}
    error = demo.client.post("/v1/chat/completions", json=body).json()["error"]
    assert error["code"] == "unsupported_schema" and error["param"] == "response_format.json_schema.fill"
    assert "a list of anything but texts and given values" in error["message"]


def test_a_schema_that_must_be_filled_needs_a_picture(demo: LiveServer) -> None:
    text = "Which lamp is on?"
    schema = obj({"lamp": LAMP})
    format = {"type": "json_schema", "name": "reading", "schema": schema, "fill": True}
    chat = {"messages": [{"role": "user", "content": text}], "response_format": form(schema, fill=True)}
    completion = {"prompt": text, "response_format": form(schema, fill=True)}
    responses = {"input": text, "text": {"format": format}}
    for route, body, param in (
        ("/v1/chat/completions", chat, "response_format.json_schema.fill"),
        ("/v1/completions", completion, "response_format.json_schema.fill"),
        ("/v1/responses", responses, "text.format.fill"),
    ):
        response = demo.client.post(route, json=body)
        assert check_error(response, 400, "invalid_value")["param"] == param


def test_a_text_completion_goes_on_with_its_prompt(demo: LiveServer) -> None:
    def usage(prompt: str) -> Body:
        body = {"prompt": prompt, "response_format": {"type": "json_object"}, "max_tokens": 4}
        response = demo.client.post("/v1/completions", json=body)
        assert response.status_code == 200, response.text
        return response.json()["usage"]  # type: ignore[no-any-return]

    assert usage("lamp " * 40)["prompt_tokens"] > usage("lamp")["prompt_tokens"] + 30


def test_any_step_of_a_number_can_be_followed(demo: LiveServer) -> None:
    found = choice(demo, "gauge.jpg", obj({"value": {**NUMBER, "multipleOf": 1e-30}}))
    assert found["message"]["content"] == '{"value": 3.0}'
