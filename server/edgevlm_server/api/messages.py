"""Messages as OpenAI's chat API writes them, and what those of all APIs share. Knows fields and bounds, no model."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from edgevlm_server.api.region import RegionFields
from edgevlm_server.api.strict import PromptText, StrictModel, by_type, tag, text_or_list
from edgevlm_server.api.unsupported import NO_FILES, NO_TOOLS, Hint, Unsupported
from edgevlm_server.request import ROLES, Picture, Turn

MAX_MESSAGES = 1024
"""More cannot fit into the longest context of any MobileVLM."""
MAX_PARTS = 64

CONTENT = "It must be a text or a list of parts; null is neither"

ImageName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
"""A client's own name for a picture: any text, since it is only ever compared."""


class PartFields(StrictModel):
    """What stands beside a text or a picture and has no effect."""

    cache_control: Hint = None
    prompt_cache_breakpoint: Hint = None
    annotations: Hint = None


class ImageFields(RegionFields, PartFields):
    """A picture, named by `uuid` if the client wants to ask about it again; with the name alone, one sent before.

    `detail` has no effect: a MobileVLM image always takes the same number of positions.
    """

    detail: Hint = None
    file_id: Annotated[Any, Unsupported(NO_FILES)] = None
    uuid: ImageName | None = None

    @model_validator(mode="after")
    def _is_something(self) -> "ImageFields":
        if self.source is None and self.uuid is None:
            raise PydanticCustomError("image", "It must hold 'image_url', 'uuid' or both")
        return self

    @property
    def source(self) -> str | None:
        """A data URL or an address."""
        raise NotImplementedError


class TextPart(PartFields):
    """Also under the name that the Responses API gives it: clients send such parts to this route too."""

    type: Literal["text", "input_text"]
    text: PromptText


class EarlierRefusal(StrictModel):
    """An earlier answer that was none."""

    type: Literal["refusal"]
    refusal: PromptText

    @property
    def text(self) -> str:
        """What was said in place of an answer."""
        return self.refusal


class ImageUrl(BaseModel):
    """Keys that are not here are ignored, because load generators and client wrappers add some."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    url: str | None = None


class ImagePart(ImageFields):
    """A picture as the chat API or the Responses API spells it: an object with a URL, or the URL alone."""

    type: Literal["image_url", "input_image"]
    image_url: Annotated[
        Annotated[str, tag("text")] | Annotated[ImageUrl, tag("object")],
        Discriminator(lambda value: "~text" if isinstance(value, str) else "~object"),
    ] = ""

    @property
    def source(self) -> str | None:
        """A data URL or an address."""
        return (self.image_url if isinstance(self.image_url, str) else self.image_url.url) or None


Part = Annotated[
    Annotated[TextPart, tag("text")]
    | Annotated[ImagePart, tag("image_url")]
    | Annotated[EarlierRefusal, tag("refusal")],
    by_type(
        {
            "text": "text",
            "input_text": "text",
            "image_url": "image_url",
            "input_image": "image_url",
            "refusal": "refusal",
        },
        "A content part must have the type 'text', 'input_text', 'image_url', 'input_image' or 'refusal'",
    ),
]


class Message(StrictModel):
    """An assistant's message may hold whatever client libraries keep in it."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        Annotated[PromptText, tag("text")]
        | Annotated[list[Part], tag("list"), Field(min_length=1, max_length=MAX_PARTS)],
        text_or_list(CONTENT),
    ]
    name: Hint = None
    annotations: Hint = None
    parsed: Hint = None
    reasoning: Hint = None
    reasoning_content: Hint = None
    reasoning_details: Hint = None
    thinking_blocks: Hint = None
    provider_specific_fields: Hint = None
    refusal: PromptText | None = None
    audio: Annotated[Any, Unsupported("This server keeps no audio; send the text as 'content'")] = None
    tool_calls: Annotated[Any, Unsupported(NO_TOOLS)] = None
    function_call: Annotated[Any, Unsupported(NO_TOOLS)] = None

    @model_validator(mode="before")
    @classmethod
    def _a_refusal_is_what_was_said(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("content") and data.get("refusal"):
            return {**data, "content": data["refusal"]}
        return data

    def turn(self, place: str) -> Turn:
        """In the prompt's terms."""
        return Turn(ROLES[self.role], parts(self.content, place), place)


Messages = Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]


class _Text(Protocol):
    @property
    def text(self) -> str: ...


def parts(content: str | Sequence[_Text | ImageFields], place: str) -> tuple[str | Picture, ...]:
    """A message's texts and pictures, in their order."""
    if isinstance(content, str):
        return (content,)
    placed = ((part, f"{place}.{index}") for index, part in enumerate(content))
    return tuple(
        Picture(part.source, part.uuid, at, part.region) if isinstance(part, ImageFields) else part.text
        for part, at in placed
    )


def conversation(messages: Sequence[Message]) -> tuple[Turn, ...]:
    """The messages of a request that holds them under `messages`."""
    return tuple(message.turn(f"messages.{index}.content") for index, message in enumerate(messages))
