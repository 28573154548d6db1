"""The openai client as the judge: answers parse into its types, streams add up, errors are of the right class."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer

import openai
import pytest
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from tests.live import LiveServer
from tests.pictures import data_url
from tests.server.engines import FailingEngine, SlowEngine, until

QUESTION: list[ChatCompletionMessageParam] = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": data_url(), "detail": "low"}},
        ],
    }
]


@pytest.fixture(scope="module")
def client(echo_server: LiveServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{echo_server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def strictly(model: BaseModel) -> None:
    """Nothing is missing and nothing has another type than the client's own classes say."""
    type(model).model_validate(model.model_dump(exclude_unset=True, by_alias=True), strict=True)


@pytest.mark.slow
def test_an_answer(client: OpenAI) -> None:
    completion = client.chat.completions.create(model="v2", messages=QUESTION)
    strictly(completion)
    [choice] = completion.choices
    assert choice.message.content is not None
    assert choice.message.content.endswith("What is it? ASSISTANT:")
    assert choice.finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.prompt_tokens > 144


def test_a_stream(client: OpenAI) -> None:
    client.chat.completions.create(model="v2", messages=QUESTION)  # from now on its picture is known
    whole = client.chat.completions.create(model="v2", messages=QUESTION)
    chunks = list(
        client.chat.completions.create(
            model="v2", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
    )
    for chunk in chunks:
        strictly(chunk)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage


def test_options_of_other_servers_travel_in_the_extra_body(client: OpenAI) -> None:
    completion = client.chat.completions.create(
        model="v2", messages=QUESTION, extra_body={"top_k": 5}, max_tokens=4, seed=1, temperature=0.5
    )
    assert completion.choices[0].finish_reason == "length"


def test_models(client: OpenAI) -> None:
    [model] = client.models.list().data
    strictly(model)
    assert model.id == "v2"


def test_a_bad_request_is_a_bad_request_error(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="v2", messages=[])
    assert (caught.value.code, caught.value.param, caught.value.type) == (
        "invalid_value",
        "messages",
        "invalid_request_error",
    )
    assert caught.value.request_id


def test_an_unknown_model_is_a_not_found_error(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-5", messages=QUESTION)
    assert caught.value.code == "model_not_found"


@pytest.mark.slow
def test_overload_is_a_rate_limit_error_and_passes_when_retried(bundles: Callable[[str], Path]) -> None:
    engine = SlowEngine(bundles("v2"), slots=1)
    engine.gate.clear()
    with LiveServer.on_engine(bundles("v2"), engine, max_queue=0) as server, ThreadPoolExecutor(1) as pool:
        first = pool.submit(server.chat, "hold the only place")
        until(lambda: server.service.admission.inside == 1, "the place to be taken")
        with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as hasty:
            with pytest.raises(openai.RateLimitError) as caught:
                hasty.chat.completions.create(model="v2", messages=QUESTION)
            assert caught.value.code == "queue_full"
            assert caught.value.response.headers["retry-after"] == "1"
        engine.seconds = 0
        Timer(0.3, engine.gate.set).start()
        with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=20) as patient:
            assert patient.chat.completions.create(model="v2", messages=QUESTION).choices
        assert first.result().status_code == 200


@pytest.mark.slow
def test_a_dead_engine_is_an_internal_server_error(bundles: Callable[[str], Path]) -> None:
    engine = FailingEngine(bundles("v2"), slots=1, fail_at=3)
    with (
        LiveServer.on_engine(bundles("v2"), engine) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(model="v2", messages=QUESTION)
        assert (caught.value.status_code, caught.value.code) == (503, "engine_unavailable")


@pytest.mark.slow
def test_a_stream_that_breaks_raises(bundles: Callable[[str], Path]) -> None:
    engine = FailingEngine(bundles("v2"), slots=1, fail_at=3)
    with (
        LiveServer.on_engine(bundles("v2"), engine) as server,
        OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        stream = client.chat.completions.create(model="v2", messages=QUESTION, stream=True)
        with pytest.raises(openai.APIError, match="engine is not running"):
            list(stream)


@pytest.mark.slow
def test_a_missing_key_is_an_authentication_error(bundles: Callable[[str], Path], tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys", "line-4")
    settings = Settings(engine="echo")
    server = LiveServer(lambda: load_model(bundles("v2"), settings), settings, KeyRing.load(tmp_path / "keys"))
    with server, OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError):
            stranger.models.list()
        with stranger.with_options(api_key=key) as known:
            assert known.models.list().data
