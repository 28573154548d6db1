"""Input as OpenAI's newer routes take it: a text, or messages of typed parts. Knows fields and bounds, no model.

It says what the chat route's messages say in other words, so it becomes those.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, model_validator
from pydantic_core import PydanticCustomError

from edgevlm_server.api.chat import MAX_MESSAGES, MAX_PARTS, ImageName, Message
from edgevlm_server.api.strict_model import StrictModel, Text, tag


class InputText(StrictModel):
    type: Literal["input_text"]
    text: Text


class InputImage(StrictModel):
    """`detail` has no effect. `uuid` is the client's name for the picture, as in the chat route."""

    type: Literal["input_image"]
    image_url: str | None = None
    uuid: ImageName | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None

    @model_validator(mode="after")
    def _is_something(self) -> "InputImage":
        if self.image_url is None and self.uuid is None:
            raise PydanticCustomError("image", "It must hold 'image_url', 'uuid' or both")
        return self


class OutputText(StrictModel):
    """An earlier answer, as this server gave it; what is not its text may come along and has no effect."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["output_text"]
    text: Text


def _part_type(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"~{kind}" if kind in ("input_text", "input_image", "output_text") else None


InputPart = Annotated[
    Annotated[InputText, tag("input_text")]
    | Annotated[InputImage, tag("input_image")]
    | Annotated[OutputText, tag("output_text")],
    Discriminator(
        _part_type,
        custom_error_type="part_type",
        custom_error_message="A content part must have the type 'input_text', 'input_image' or 'output_text'",
    ),
]


def _shape(value: Any) -> str:
    return "~text" if isinstance(value, str) else "~list"


class InputMessage(StrictModel):
    """`id`, `status` and `phase` stand in answers that are sent back; they have no effect."""

    type: Literal["message"] | None = None
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        Annotated[Text, tag("text")]
        | Annotated[list[InputPart], tag("list"), Field(min_length=1, max_length=MAX_PARTS)],
        Discriminator(_shape),
    ]
    id: Text | None = None
    status: Literal["in_progress", "completed", "incomplete"] | None = None
    phase: Literal["commentary", "final_answer"] | None = None

    def message(self) -> Message:
        """The same message in the chat route's words."""
        if isinstance(self.content, str):
            return Message(role=self.role, content=self.content)
        return Message.model_validate({"role": self.role, "content": [_chat_part(part) for part in self.content]})


Input = Annotated[
    Annotated[Text, tag("text")]
    | Annotated[list[InputMessage], tag("list"), Field(min_length=1, max_length=MAX_MESSAGES)],
    Discriminator(_shape),
]


def messages_of(given: str | list[InputMessage]) -> list[Message]:
    """The chat route's messages; a text alone is the user's."""
    if isinstance(given, str):
        return [Message(role="user", content=given)]
    return [one.message() for one in given]


def places_of(given: str | list[InputMessage]) -> list[str]:
    """Where the content of each of those messages stands in the request."""
    return ["input"] if isinstance(given, str) else [f"input.{index}.content" for index in range(len(given))]


def _chat_part(part: InputText | InputImage | OutputText) -> dict[str, Any]:
    if isinstance(part, InputImage):
        return {"type": "image_url", "image_url": part.image_url, "uuid": part.uuid}
    return {"type": "text", "text": part.text}
