"""The openai package and LangChain with their defaults: offered tools, second turns, limits, schemas, errors."""

import base64
from collections.abc import Iterator
from typing import Any, Final, Literal

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import ChatOpenAI
from openai import OpenAI
from pydantic import BaseModel, SecretStr

from tests.clients.conftest import ROOT
from tests.live import LiveServer

PICTURE = (ROOT / "examples/display.jpg").read_bytes()
QUESTION = "What does the display read?"
READS: Final = "834.2"
PARTS: Any = [
    {"type": "text", "text": QUESTION},
    {
        "type": "image_url",
        "image_url": {"url": f"data:image/jpeg;base64,{base64.b64encode(PICTURE).decode()}", "detail": "auto"},
    },
]
TOOL: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


class Reading(BaseModel):
    value: Literal["834.2", "3.0"]


@pytest.fixture
def client(demo: LiveServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{demo.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_openai_takes_its_own_messages_back(client: OpenAI) -> None:
    first: Any = {"role": "user", "content": PARTS}
    reply = client.chat.completions.create(model="edgevlm-demo", messages=[first], tools=[TOOL], max_tokens=3000)
    message = reply.choices[0].message
    assert message.content == READS
    for kept in (message, message.model_dump(), message.to_dict()):
        again: Any = [first, kept, {"role": "user", "content": QUESTION}]
        assert client.chat.completions.create(model="edgevlm-demo", messages=again).choices[0].message.content


# the package warns of its own class when it writes a parsed message
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_openai_parses_and_takes_what_was_parsed_back(client: OpenAI) -> None:
    first: Any = {"role": "user", "content": PARTS}
    reply = client.chat.completions.parse(model="edgevlm-demo", messages=[first], response_format=Reading)
    message = reply.choices[0].message
    assert message.parsed == Reading(value=READS)
    again: Any = [first, message, {"role": "user", "content": QUESTION}]
    assert client.chat.completions.create(model="edgevlm-demo", messages=again).choices[0].message.content
    response = client.responses.parse(model="edgevlm-demo", input="Which?", text_format=Reading, store=True)
    assert response.output_parsed is not None


def test_openai_shows_the_text_of_an_error_alone(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="logit_bias"):
        client.chat.completions.create(
            model="edgevlm-demo", messages=[{"role": "user", "content": "a"}], logit_bias={"99999": 1}
        )


def test_langchain(demo: LiveServer) -> None:
    model = ChatOpenAI(model="edgevlm-demo", base_url=f"{demo.url}/v1", api_key=SecretStr("none"), max_retries=0)
    asked = HumanMessage(PARTS)
    answer = model.bind_tools([TOOL]).invoke([asked])
    assert answer.content == READS
    assert model.invoke([asked, answer, HumanMessage(QUESTION)]).content
    assert model.invoke([asked, AIMessage(READS), HumanMessage(QUESTION)]).content
    assert model.with_structured_output(Reading, method="json_schema").invoke([asked]) == Reading(value=READS)
    with pytest.raises(openai.BadRequestError, match="maximum context length") as caught:
        model.invoke("a b " * 3000)
    assert type(caught.value).__name__ == "OpenAIContextOverflowError"
