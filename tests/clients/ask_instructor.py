"""instructor as its users call it: asks in the ways that are named and prints as JSON what they would have seen.

It runs in an environment of its own, `build/clients`, and imports nothing of this repository.

    python -I ask_instructor.py URL PICTURE WAY...
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import instructor
from instructor import Mode
from instructor.core.exceptions import InstructorError
from openai import OpenAI
from pydantic import BaseModel, field_validator

QUESTION = "What does the display read?"


class Reading(BaseModel):
    value: Literal["834.2", "3.0"]


class Doubted(Reading):
    """Never believed, so that the answer is sent back with what is wrong about it."""

    @field_validator("value")
    @classmethod
    def believed(cls, value: str) -> str:
        raise ValueError("read it again")


class Ways:
    """Each method is one way to ask."""

    def __init__(self, url: str, picture: Path) -> None:
        self._url = f"{url}/v1"
        self._messages: list[Any] = [
            {"role": "user", "content": [QUESTION, instructor.Image.from_path(picture)]},
        ]

    def default(self) -> Any:
        return self._reading(instructor.from_openai(self._openai()))

    def provider(self) -> Any:
        return self._reading(self._provider())

    def provider_schema(self) -> Any:
        return self._reading(self._provider(mode=Mode.JSON_SCHEMA))

    def responses(self) -> Any:
        return self._reading(self._in(Mode.RESPONSES_TOOLS))

    def schema(self) -> Any:
        return self._reading(self._in(Mode.JSON_SCHEMA))

    def schema_partial(self) -> Any:
        client = self._in(Mode.JSON_SCHEMA)
        *_, last = client.create_partial(model="edgevlm-demo", messages=self._messages, response_model=Reading)
        return last.model_dump()

    def schema_asked_again(self) -> list[str]:
        """What was answered each time."""
        return self._answers(Mode.JSON_SCHEMA, self._messages, Doubted, max_retries=1)

    def json(self) -> list[str]:
        return self._answers(Mode.JSON, [{"role": "user", "content": QUESTION}], Reading, max_retries=0)

    def markdown(self) -> list[str]:
        return self._answers(Mode.MD_JSON, [{"role": "user", "content": QUESTION}], Reading, max_retries=0)

    def _openai(self) -> OpenAI:
        return OpenAI(base_url=self._url, api_key="none", max_retries=0)

    def _in(self, mode: Mode) -> Any:
        return instructor.from_openai(self._openai(), mode=mode)

    def _provider(self, **options: Any) -> Any:
        return instructor.from_provider("openai/edgevlm-demo", base_url=self._url, api_key="none", **options)

    def _reading(self, client: Any) -> Any:
        found = client.create(model="edgevlm-demo", messages=self._messages, response_model=Reading)
        return found.model_dump()

    def _answers(self, mode: Mode, messages: list[Any], kind: type[BaseModel], max_retries: int) -> list[str]:
        """The texts that came back, and the name of what was wrong with the last."""
        client, texts = self._in(mode), []
        client.on("completion:response", lambda found: texts.append(found.choices[0].message.content))
        try:
            client.create(model="edgevlm-demo", messages=messages, response_model=kind, max_retries=max_retries)
        except InstructorError as error:
            texts.append(type(error.__cause__ or error).__name__)
        return texts


def seen(way: Callable[[], Any]) -> Any:
    try:
        return way()
    except Exception as error:
        return {
            "error": {"name": type(error).__name__, "cause": type(error.__cause__).__name__, "message": str(error)}
        }


if __name__ == "__main__":
    url, picture, *names = sys.argv[1:]
    ways = Ways(url, Path(picture))
    print(json.dumps({name: seen(getattr(ways, name)) for name in names}))
