"""LiteLLM as its users call it: asks in the ways that are named and prints as JSON what they would have seen.

It runs in an environment of its own, `build/clients`, and imports nothing of this repository.

    python -I ask_litellm.py URL KEY MODEL PICTURE WAY...
"""

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import litellm
from pydantic import BaseModel

QUESTION = "What does the display read?"
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
HINTS = {
    "max_tokens": 2000,
    "user": "anna",
    "metadata": {"line": "3"},
    "parallel_tool_calls": False,
    "service_tier": "auto",
    "store": True,
    "reasoning_effort": "low",
}


class Reading(BaseModel):
    value: Literal["834.2", "3.0"]


class Ways:
    """Each method is one way to ask."""

    def __init__(self, url: str, key: str, model: str, picture: Path) -> None:
        self._server = {"model": model, "api_base": f"{url}/v1", "api_key": key, "max_retries": 0}
        self._picture = f"data:image/jpeg;base64,{base64.b64encode(picture.read_bytes()).decode()}"
        image = {"type": "image_url", "image_url": {"url": self._picture}}
        self._messages: list[Any] = [{"role": "user", "content": [{"type": "text", "text": QUESTION}, image]}]

    def whole(self) -> str:
        return self._text()

    def streamed(self) -> dict[str, Any]:
        chunks = list(self._complete(stream=True, stream_options={"include_usage": True}))
        built = litellm.stream_chunk_builder(chunks, messages=self._messages)
        choice = built.choices[0]
        tokens = built.usage.completion_tokens
        return {"text": choice.message.content, "reason": choice.finish_reason, "tokens": tokens}

    def tools(self) -> str:
        return self._text(tools=[TOOL], tool_choice="auto")

    def tool_demanded(self) -> str:
        return self._text(tools=[TOOL], tool_choice="required")

    def twice(self) -> list[str]:
        message = self._complete().choices[0].message
        question = {"role": "user", "content": QUESTION}
        return [self._text(messages=[*self._messages, kept, question]) for kept in (message, message.model_dump())]

    def schema(self) -> str:
        return self._text(response_format=Reading)

    def hints(self) -> str:
        return self._text(**HINTS)

    def hints_dropping(self) -> str:
        return self._text(**HINTS, thinking={"type": "enabled", "budget_tokens": 1024}, drop_params=True)

    def effort(self) -> str:
        return self._text(reasoning_effort="high", drop_params=True)

    def effort_dropped(self) -> str:
        return self._text(reasoning_effort="high", additional_drop_params=["reasoning_effort"])

    def too_long(self) -> str:
        return self._text(messages=[{"role": "user", "content": "a b " * 3000}])

    def no_picture(self) -> str:
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}
        return self._text(messages=[{"role": "user", "content": [image]}])

    def response(self) -> str:
        found = litellm.responses(input=self._input(), **self._server)
        return str(found.output_text)

    def response_streamed(self) -> str:
        events = litellm.responses(input=self._input(), stream=True, **self._server)
        return "".join(event.delta for event in events if event.type == "response.output_text.delta")

    def response_too_long(self) -> str:
        found = litellm.responses(input="a b " * 3000, **self._server)
        return str(found.output_text)

    def _complete(self, **fields: Any) -> Any:
        return litellm.completion(**{**self._server, "messages": self._messages, **fields})

    def _text(self, **fields: Any) -> str:
        return str(self._complete(**fields).choices[0].message.content)

    def _input(self) -> list[Any]:
        content = [{"type": "input_text", "text": QUESTION}, {"type": "input_image", "image_url": self._picture}]
        return [{"role": "user", "content": content}]


def seen(way: Callable[[], Any]) -> Any:
    try:
        return way()
    except Exception as error:
        status = getattr(error, "status_code", None)
        return {"error": {"name": type(error).__name__, "status": status, "message": str(error)}}


if __name__ == "__main__":
    url, key, model, picture, *names = sys.argv[1:]
    ways = Ways(url, key, model, Path(picture))
    print(json.dumps({name: seen(getattr(ways, name)) for name in names}))
