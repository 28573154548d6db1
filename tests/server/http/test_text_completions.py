"""Text completions over a socket, with the openai client as the judge of every answer and every event."""

from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

from tests.live import LiveServer
from tests.server.http.refusing import check_error
from tests.server.http.test_openai_client import strictly

PROMPT = "A gauge reads 3.0 €, ok?"


@pytest.fixture(scope="module")
def client(echo_server: LiveServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{echo_server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_an_answer_begins_where_the_prompt_ends(client: OpenAI) -> None:
    completion = client.completions.create(model="v2", prompt=PROMPT)
    strictly(completion)
    [choice] = completion.choices
    # the echo engine repeats the prompt, whose first token begins with a space that no template has eaten
    assert choice.text == f" {PROMPT}"
    assert choice.finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == completion.usage.prompt_tokens  # no begin token, but an end token


def test_token_ids_are_taken_as_they_are(echo_server: LiveServer, client: OpenAI) -> None:
    ids = echo_server.client.post("/tokenize", json={"prompt": PROMPT}).json()["tokens"]
    assert client.completions.create(model="v2", prompt=ids).choices[0].text == f" {PROMPT}"
    for one in ([PROMPT], [ids]):
        assert client.completions.create(model="v2", prompt=one).choices[0].text == f" {PROMPT}"


def test_a_stream_adds_up(client: OpenAI) -> None:
    chunks = list(
        client.completions.create(model="v2", prompt=PROMPT, stream=True, stream_options={"include_usage": True})
    )
    # before the end there is no reason yet: OpenAI sends null, though the client's class does not say so
    strictly(chunks[-2])
    strictly(chunks[-1])
    assert "".join(chunk.choices[0].text for chunk in chunks[:-1]) == f" {PROMPT}"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]][-1] == "stop"
    whole = client.completions.create(model="v2", prompt=PROMPT)
    usage = chunks[-1].usage
    assert usage is not None and whole.usage is not None
    assert usage.total_tokens == whole.usage.total_tokens


def test_probabilities_say_where_each_token_begins(client: OpenAI) -> None:
    whole = client.completions.create(model="v2", prompt=PROMPT, logprobs=2)
    strictly(whole)
    text, logprobs = whole.choices[0].text, whole.choices[0].logprobs
    assert logprobs is not None and logprobs.tokens and logprobs.text_offset and logprobs.token_logprobs
    assert logprobs.text_offset[0] == 0
    assert "".join(logprobs.tokens) == text
    for token, offset in zip(logprobs.tokens, logprobs.text_offset, strict=True):
        assert text[offset:].startswith(token)
    assert all(logprob > -0.01 for logprob in logprobs.token_logprobs)
    chunks = client.completions.create(model="v2", prompt=PROMPT, logprobs=2, stream=True)
    listed = [chunk.choices[0].logprobs for chunk in chunks]
    offsets = [offset for one in listed if one is not None for offset in one.text_offset or []]
    assert offsets == logprobs.text_offset


def test_the_chosen_token_is_always_among_the_likeliest(client: OpenAI) -> None:
    # the bias chooses a token that the model finds unlikely
    unlikely = client.completions.create(model="v2", prompt=PROMPT, logprobs=1, max_tokens=1, logit_bias={"100": 100})
    logprobs = unlikely.choices[0].logprobs
    assert logprobs is not None and logprobs.tokens and logprobs.token_logprobs and logprobs.top_logprobs
    [chosen], [top] = logprobs.tokens, logprobs.top_logprobs
    assert len(top) == 2 and top[chosen] == logprobs.token_logprobs[0] == min(top.values())


@pytest.mark.parametrize("prompt", ["yes", "no"])
def test_the_space_that_a_form_begins_with_is_no_part_of_the_answer(client: OpenAI, prompt: str) -> None:
    form = {"guided_choice": ["yes", "no"]}
    assert client.completions.create(model="v2", prompt=prompt, extra_body=form).choices[0].text == prompt


def test_several_answers(client: OpenAI) -> None:
    completion = client.completions.create(model="v2", prompt=PROMPT, n=3, max_tokens=2)
    assert [choice.index for choice in completion.choices] == [0, 1, 2]
    assert {choice.finish_reason for choice in completion.choices} == {"length"}


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({}, "invalid_value", "prompt"),
        ({"prompt": []}, "invalid_value", "prompt"),
        ({"prompt": ["a", "b"]}, "invalid_value", "prompt"),
        ({"prompt": [1, -1]}, "invalid_value", "prompt.1"),
        ({"prompt": [1, 10**6]}, "invalid_value", "prompt.1"),
        ({"prompt": ["a", 1]}, "invalid_value", "prompt"),
        ({"prompt": [[1], [2]]}, "invalid_value", "prompt"),
        ({"prompt": [[]]}, "invalid_value", "prompt.0"),
        ({"prompt": "a", "echo": True}, "unsupported_parameter", "echo"),
        ({"prompt": "a", "suffix": "b"}, "unsupported_parameter", "suffix"),
        ({"prompt": "a", "best_of": 2}, "unsupported_parameter", "best_of"),
        ({"prompt": "a", "messages": []}, "unsupported_parameter", "messages"),
        ({"prompt": "a b " * 3000}, "context_length_exceeded", "prompt"),
    ],
)
def test_what_is_wrong_is_named(echo_server: LiveServer, fields: dict[str, object], code: str, param: str) -> None:
    response = echo_server.client.post("/v1/completions", json=fields)
    assert check_error(response, 400, code)["param"] == param


def test_another_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="gpt-5", prompt="a")
