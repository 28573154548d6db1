"""The chat request in OpenAI's shape, as far as this server acts on it. Knows fields and bounds, nothing else."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from edgevlm_server.api.fields import MAX_LOGPROBS, Count, GenerationFields
from edgevlm_server.api.strict_model import UNSUPPORTED, No, StrictModel, Text, tag

MAX_MESSAGES = 64
MAX_PARTS = 64

ImageName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
"""A client's own name for a picture: any text, since it is only ever compared."""


def no_tools(value: Any) -> Any:
    """What old and new clients send when there are no tools, and nothing else."""
    if value not in (None, [], "none"):
        raise PydanticCustomError(UNSUPPORTED, "MobileVLM models cannot call tools")
    return value


class TextPart(StrictModel):
    """Also under the name that the Responses API gives it: clients send such parts to this route too."""

    type: Literal["text", "input_text"]
    text: Text


class ImageUrl(BaseModel):
    """`detail` has no effect: a MobileVLM image always takes the same number of positions.

    Other keys are ignored, because load generators and client wrappers add some.
    """

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    url: str
    detail: Literal["auto", "low", "high"] | None = None


def _url_shape(value: Any) -> str:
    return "~none" if value is None else "~text" if isinstance(value, str) else "~object"


_PART_TAGS = {"text": "~text", "input_text": "~text", "image_url": "~image_url", "input_image": "~image_url"}


def _part_type(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    # a list or an object cannot be looked up
    return _PART_TAGS.get(kind) if isinstance(kind, str) else None


def _content_shape(value: Any) -> str:
    return "~text" if isinstance(value, str) else "~parts"


class ImagePart(StrictModel):
    """A picture, named by `uuid` if the client wants to ask about it again; with the name alone, one sent before.

    As the chat API or the Responses API spells it; the latter has `detail` beside the picture.
    """

    type: Literal["image_url", "input_image"]
    image_url: Annotated[
        Annotated[str, tag("text")] | Annotated[ImageUrl, tag("object")] | Annotated[None, tag("none")],
        Discriminator(_url_shape),
    ] = None
    detail: Literal["auto", "low", "high"] | None = None
    uuid: ImageName | None = None

    @model_validator(mode="after")
    def _is_something(self) -> "ImagePart":
        if self.image_url is None and self.uuid is None:
            raise PydanticCustomError("image", "It must hold 'image_url', 'uuid' or both")
        return self

    @property
    def url(self) -> str | None:
        """The text that holds the picture; a plain string stands for an object with only `url`."""
        return self.image_url.url if isinstance(self.image_url, ImageUrl) else self.image_url


Part = Annotated[
    Annotated[TextPart, tag("text")] | Annotated[ImagePart, tag("image_url")],
    Discriminator(
        _part_type,
        custom_error_type="part_type",
        custom_error_message="A content part must have the type 'text', 'input_text', 'image_url' or 'input_image'",
    ),
]


class Message(StrictModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        Annotated[Text, tag("text")] | Annotated[list[Part], tag("parts"), Field(min_length=1, max_length=MAX_PARTS)],
        Discriminator(_content_shape),
    ]
    name: Text | None = None
    # clients send back what they were sent
    refusal: None = None
    tool_calls: Annotated[list[Any], AfterValidator(no_tools)] | None = None
    function_call: None = None

    @property
    def text(self) -> str:
        """All text of the message; parts are joined by line breaks."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart))

    @property
    def images(self) -> list[ImagePart]:
        """Its images, in their order."""
        return [] if isinstance(self.content, str) else [p for p in self.content if isinstance(p, ImagePart)]


Messages = Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]


class ChatRequest(GenerationFields):
    """The conversation, and what only this route has."""

    messages: Messages
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None

    # no MobileVLM was trained to call tools: only what asks for none is taken
    tools: Annotated[list[Any], AfterValidator(no_tools)] | None = None
    tool_choice: Annotated[Any, AfterValidator(no_tools)] = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[list[Any], AfterValidator(no_tools)] | None = None
    function_call: Annotated[Any, AfterValidator(no_tools)] = None

    # nothing is kept here, and nothing but text comes out
    store: No | None = None
    modalities: list[Literal["text"]] | None = None

    @field_validator("top_logprobs")
    @classmethod
    def _needs_logprobs(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and not info.data.get("logprobs"):
            raise PydanticCustomError("top_logprobs", "It is only allowed together with 'logprobs': true")
        return value

    @property
    def token_limit(self) -> int | None:
        """The newer name wins where both are given."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def wanted_logprobs(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs else None
