"""The chat endpoint over a real socket, on the echo engine: shapes, streaming, conversations, limits."""

import base64
import re
from typing import Any

import pytest
from edgevlm_server.request import MAX_TEXT

from tests.live import LiveServer, sse
from tests.pictures import data_url, image_part, text_part, user
from tests.server.engines import until

SYSTEM = "A chat between a curious user and an artificial intelligence assistant."


def ask(server: LiveServer, messages: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    response = server.client.post("/v1/chat/completions", json={"messages": messages, **fields})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def said(server: LiveServer, messages: list[dict[str, Any]], **fields: Any) -> str:
    content: str = ask(server, messages, **fields)["choices"][0]["message"]["content"]
    return content


def test_a_whole_answer_has_every_key_of_openais_shape(echo_server: LiveServer) -> None:
    body = ask(echo_server, [{"role": "user", "content": "hello"}])
    assert body["object"] == "chat.completion"
    assert re.fullmatch("chatcmpl-[0-9a-f]{32}", body["id"])
    assert body["model"] == "v2"
    [choice] = body["choices"]
    assert choice == {
        "index": 0,
        "message": {"role": "assistant", "content": choice["message"]["content"], "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
        "confidence": choice["confidence"],
        "refused": None,
    }
    assert 0 < choice["confidence"] <= 1
    assert choice["message"]["content"].endswith("USER: hello ASSISTANT:")
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 0}


def test_a_stream_adds_up_to_the_whole_answer(echo_server: LiveServer) -> None:
    messages = [{"role": "user", "content": "25 °C, €5, 日本 ok?"}]
    whole = ask(echo_server, messages)
    body = {"messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    with echo_server.client.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-cache"
        *chunks, done = sse(response)
    assert done == "[DONE]"
    parsed = [chunk for chunk in chunks if isinstance(chunk, dict)]
    assert parsed[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert all("role" not in chunk["choices"][0]["delta"] for chunk in parsed[1:-1])
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in parsed[:-1])
    assert text == whole["choices"][0]["message"]["content"]
    assert [chunk["choices"][0]["finish_reason"] for chunk in parsed[:-1]] == [None] * (len(parsed) - 2) + ["stop"]
    assert parsed[-2]["choices"][0]["delta"] == {}
    assert parsed[-1]["choices"] == []
    assert parsed[-1]["usage"] == whole["usage"]
    assert all(chunk["usage"] is None for chunk in parsed[:-1])
    assert len({chunk["id"] for chunk in parsed}) == 1


def test_without_stream_options_no_usage_is_sent(echo_server: LiveServer) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
    with echo_server.client.stream("POST", "/v1/chat/completions", json=body) as response:
        assert not any("usage" in chunk for chunk in sse(response))


def test_max_tokens_ends_with_length(echo_server: LiveServer) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        body = ask(echo_server, [{"role": "user", "content": "hello"}], **{name: 3})
        assert body["choices"][0]["finish_reason"] == "length"
        assert body["usage"]["completion_tokens"] == 3
    both = ask(echo_server, [{"role": "user", "content": "hello"}], max_tokens=9, max_completion_tokens=2)
    assert both["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize("stop", ["assistant. The", ["nowhere", "assistant. The"]])
def test_a_stop_string_ends_the_answer_before_it(echo_server: LiveServer, stop: str | list[str]) -> None:
    body = ask(echo_server, [{"role": "user", "content": "hello"}], stop=stop)
    assert body["choices"][0]["message"]["content"] == SYSTEM.removesuffix("assistant.")
    assert body["choices"][0]["finish_reason"] == "stop"
    assert echo_server.metrics()["edgevlm_requests_cancelled_total"] == 0


def test_images_come_first_wherever_they_stand_in_the_message(echo_server: LiveServer) -> None:
    first = said(echo_server, user(image_part(), text_part("Q")))
    last = said(echo_server, user(text_part("Q"), image_part()))
    assert first == last
    assert first.endswith("Q ASSISTANT:")


def test_another_picture_gives_another_answer(echo_server: LiveServer) -> None:
    red, green = data_url((200, 0, 0)), data_url((0, 200, 0))
    answers = [said(echo_server, user(image_part(url), text_part("Q"))) for url in (red, green, red)]
    assert answers[0] == answers[2] != answers[1]


def test_several_images_keep_their_order(echo_server: LiveServer) -> None:
    red, green = image_part(data_url((200, 0, 0))), image_part(data_url((0, 200, 0)))
    forward = ask(echo_server, user(red, green, text_part("Q")))
    backward = ask(echo_server, user(green, red, text_part("Q")))
    texts = [answer["choices"][0]["message"]["content"] for answer in (forward, backward)]
    assert texts[0] != texts[1]
    one = ask(echo_server, user(red, text_part("Q")))
    assert forward["usage"]["prompt_tokens"] == one["usage"]["prompt_tokens"] + 144 + 2


def test_every_way_to_write_an_image_gives_the_same_answer(echo_server: LiveServer) -> None:
    url = data_url()
    encoded = url.partition(",")[2]
    wrapped = "\n".join(encoded[at : at + 76] for at in range(0, len(encoded), 76))
    spellings: list[Any] = [
        {"url": url},
        {"url": url, "detail": "high", "max_dynamic_patch": 6},
        url,
        encoded,
        {"url": "DATA:Image/PNG;Base64," + encoded},
        {"url": "data:;base64," + wrapped},
        {"url": url.rstrip("=")},
        {"url": url.replace("+", "-").replace("/", "_")},
    ]
    answers = {
        said(echo_server, user({"type": "image_url", "image_url": spelling}, text_part("Q")))
        for spelling in spellings
    }
    assert len(answers) == 1


def test_text_only_and_multi_turn(echo_server: LiveServer) -> None:
    turns: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [image_part(), text_part("first")]},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "second"},
    ]
    assert said(echo_server, turns).endswith("first ASSISTANT: yes USER: second ASSISTANT:")
    assert said(echo_server, [turns[0], {"role": "user", "content": "q"}]) == "Be brief. USER: q ASSISTANT:"
    developer = {"role": "developer", "content": "Be brief."}
    assert said(echo_server, [developer, {"role": "user", "content": "q"}]) == "Be brief. USER: q ASSISTANT:"


@pytest.mark.parametrize("text", ["<image>", "</s>", "<s>", "![a](http://127.0.0.1:1/a.png)", "\x00", "\u202e", "🏭"])
def test_odd_text_is_only_text(echo_server: LiveServer, text: str) -> None:
    body = ask(echo_server, [{"role": "user", "content": text}])
    assert body["choices"][0]["message"]["content"].endswith(f"USER: {text} ASSISTANT:")
    assert body["usage"]["prompt_tokens"] < 120


@pytest.mark.slow
def test_the_same_seed_gives_the_same_answer(bundles: Any) -> None:
    with LiveServer.on_bundle(bundles("v2"), max_length=400) as server:
        fields = {"temperature": 1.5, "top_k": 50, "top_p": 0.95, "max_tokens": 12}
        texts = [
            server.chat("hi", seed=seed, **fields).json()["choices"][0]["message"]["content"] for seed in (1, 1, 2)
        ]
        assert texts[0] == texts[1] != texts[2]


def test_fields_that_describe_the_client_are_accepted(echo_server: LiveServer) -> None:
    fields: dict[str, Any] = {"user": "line 4", "metadata": {"a": "b"}, "n": 1, "model": "v2", "temperature": 0}
    assert echo_server.chat("hi", **fields).status_code == 200
    nothing = dict.fromkeys(["max_tokens", "temperature", "top_p", "stop", "seed", "stream", "stream_options", "n"])
    assert echo_server.chat("hi", **nothing).status_code == 200


def test_models_lists_what_is_served(echo_server: LiveServer) -> None:
    body = echo_server.client.get("/v1/models").json()
    assert body["object"] == "list"
    [card] = body["data"]
    assert (card["id"], card["object"], card["owned_by"]) == ("v2", "model", "edgevlm")


def test_the_ledger_balances(echo_server: LiveServer) -> None:
    echo_server.chat("hi")
    echo_server.chat("hi", temperature=9)
    until(lambda: echo_server.service.admission.inside == 0, "the places to be given back")
    metrics = echo_server.metrics()
    received = metrics["edgevlm_requests_received_total"]
    accepted = metrics["edgevlm_requests_accepted_total"]
    ended = [metrics[f"edgevlm_requests_{how}_total"] for how in ("completed", "failed", "cancelled")]
    rejected = [value for name, value in metrics.items() if name.startswith("edgevlm_admission_rejections_total")]
    assert received == accepted + sum(rejected)
    assert accepted == sum(ended)
    assert metrics["edgevlm_num_requests_running"] == metrics["edgevlm_num_requests_waiting"] == 0
    assert metrics["edgevlm_time_to_first_token_seconds_count"] > 0


def test_a_text_at_the_limit_is_read_and_one_beyond_is_not(echo_server: LiveServer) -> None:
    assert echo_server.chat("a" * MAX_TEXT).json()["error"]["code"] == "context_length_exceeded"
    assert echo_server.chat("a" * (MAX_TEXT + 1)).json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.slow
def test_a_body_of_many_megabytes_with_a_real_picture_passes(echo_server: LiveServer) -> None:
    padded = base64.b64decode(data_url().partition(",")[2]) + bytes(6 * 2**20)  # PNG readers stop at its end
    url = "data:image/png;base64," + base64.b64encode(padded).decode()
    assert said(echo_server, user(image_part(url), text_part("Q")))
