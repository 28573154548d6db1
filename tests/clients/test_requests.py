"""Programs' own requests are answered, and every field that OpenAI's packages know of is known here."""

from typing import Any, get_type_hints

import pytest
from edgevlm_server.api.chat import ChatRequest
from edgevlm_server.api.completions import CompletionRequest
from edgevlm_server.api.fields import StreamOptions
from edgevlm_server.api.responses import Reasoning, ResponsesRequest, TextOptions
from openai.types.chat import ChatCompletionStreamOptionsParam
from openai.types.chat import completion_create_params as chat
from openai.types.completion_create_params import CompletionCreateParamsBase
from openai.types.responses import ResponseTextConfigParam
from openai.types.responses.input_token_count_params import InputTokenCountParams
from openai.types.responses.response_create_params import ResponseCreateParamsBase
from openai.types.shared_params.reasoning import Reasoning as ReasoningParams
from pydantic import BaseModel

from tests.clients.requests import CHATS, REFUSED, RESPONSES
from tests.live import LiveServer, sse
from tests.server.http.refusing import check_error


@pytest.mark.parametrize("program", CHATS)
def test_chats_are_answered(echo_server: LiveServer, program: str) -> None:
    body = CHATS[program]
    response = echo_server.client.post("/v1/chat/completions", json={"model": "v2", **body})
    assert response.status_code == 200, response.text
    if body.get("stream"):
        assert list(sse(response))[-1] == "[DONE]"
    else:
        assert response.json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize("program", RESPONSES)
def test_responses_are_answered(echo_server: LiveServer, program: str) -> None:
    body = RESPONSES[program]
    response = echo_server.client.post("/v1/responses", json={"model": "v2", **body})
    assert response.status_code == 200, response.text
    if body.get("stream"):
        *_, last = sse(response)
        assert isinstance(last, dict) and last["type"] in ("response.completed", "response.incomplete")
    else:
        assert response.json()["output"][0]["content"][0]["text"]


@pytest.mark.parametrize("program", REFUSED)
def test_the_others_are_told_why(echo_server: LiveServer, program: str) -> None:
    path, body, param = REFUSED[program]
    error = check_error(echo_server.client.post(path, json=body), 400, "unsupported_parameter")
    assert error["param"] == param
    assert ": " in error["message"]


@pytest.mark.parametrize(
    ("model", "params"),
    [
        (ChatRequest, chat.CompletionCreateParamsBase),
        (CompletionRequest, CompletionCreateParamsBase),
        (ResponsesRequest, ResponseCreateParamsBase),
        (ResponsesRequest, InputTokenCountParams),
        (Reasoning, ReasoningParams),
        (TextOptions, ResponseTextConfigParam),
        (StreamOptions, ChatCompletionStreamOptionsParam),
    ],
)
def test_every_field_of_openais_package_is_known(model: type[BaseModel], params: type) -> None:
    unknown = get_type_hints(params).keys() - model.model_fields.keys()
    assert not unknown, "they act, are ignored, or are refused with a reason of their own"


@pytest.mark.parametrize("body", [{"messages": [{"role": "user", "content": "a"}]}])
def test_a_field_that_nobody_knows_is_refused_by_name(echo_server: LiveServer, body: dict[str, Any]) -> None:
    response = echo_server.client.post("/v1/chat/completions", json={**body, "temprature": 1})
    assert check_error(response, 400, "unsupported_parameter")["message"] == "'temprature' is not supported."
