"""pydantic-ai with its defaults, by both of OpenAI's APIs: pictures, offered tools, a second turn and a schema."""

import asyncio
from typing import Literal

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.clients.conftest import ROOT
from tests.live import LiveServer

PICTURE = BinaryContent((ROOT / "examples/display.jpg").read_bytes(), media_type="image/jpeg")
QUESTION = "What does the display read?"


class Reading(BaseModel):
    value: Literal["834.2", "3.0"]


async def answers(url: str, kind: type[OpenAIChatModel] | type[OpenAIResponsesModel]) -> tuple[str, str, Reading]:
    """To a picture with a tool at hand, to a second question, and in a form."""
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        model = kind("edgevlm-demo", provider=OpenAIProvider(openai_client=client))
        agent = Agent(model, instructions="Be brief.", system_prompt="Read the display.")

        @agent.tool_plain
        def look_closer() -> str:
            """The same, larger."""
            return ""

        first = await agent.run([QUESTION, PICTURE])
        second = await agent.run(QUESTION, message_history=first.all_messages())
        formed = await Agent(model, output_type=NativeOutput(Reading)).run([QUESTION, PICTURE])
        return first.output, second.output, formed.output


@pytest.mark.parametrize("kind", [OpenAIChatModel, OpenAIResponsesModel])
def test_its_defaults_are_answered(
    demo: LiveServer, kind: type[OpenAIChatModel] | type[OpenAIResponsesModel]
) -> None:
    first, second, formed = asyncio.run(answers(demo.url, kind))
    assert (first, formed.value) == ("834.2", "834.2")
    assert second
