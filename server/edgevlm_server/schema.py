"""The chat request in OpenAI's shape, as far as this server acts on it. Knows fields and bounds, nothing else.

A field that is not here is refused by name: one that is accepted and does nothing is a wrong answer that nobody
notices. The exceptions are a few that describe the client and not the answer.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

MAX_MESSAGES = 64
MAX_PARTS = 64
MAX_TEXT = 32_768
"""Characters of one text. More cannot fit into the longest context of any MobileVLM, 4096 tokens."""

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
ImageName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
"""A client's own name for a picture: any text, since it is only ever compared."""

StopText = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class StrictModel(BaseModel):
    """Takes the fields that it names, in the types that it names, and no others."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class TextPart(StrictModel):
    type: Literal["text"]
    text: Text


class ImageUrl(BaseModel):
    """`detail` has no effect: a MobileVLM image always takes the same number of positions.

    Other keys are ignored, because load generators and client wrappers add some.
    """

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    url: str
    detail: Literal["auto", "low", "high"] | None = None


def tag(name: str) -> Tag:
    """Tags begin with a character that no field has, so that they can be left out of an error's path."""
    return Tag(f"~{name}")


def _url_shape(value: Any) -> str:
    return "~none" if value is None else "~text" if isinstance(value, str) else "~object"


def _part_type(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"~{kind}" if kind in ("text", "image_url") else None


def _content_shape(value: Any) -> str:
    return "~text" if isinstance(value, str) else "~parts"


class ImagePart(StrictModel):
    """A picture, named by `uuid` if the client wants to ask about it again; with the name alone, one sent before."""

    type: Literal["image_url"]
    image_url: Annotated[
        Annotated[str, tag("text")] | Annotated[ImageUrl, tag("object")] | Annotated[None, tag("none")],
        Discriminator(_url_shape),
    ] = None
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
        custom_error_message="A content part must have the type 'text' or 'image_url'",
    ),
]


class Message(StrictModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        Annotated[Text, tag("text")] | Annotated[list[Part], tag("parts"), Field(min_length=1, max_length=MAX_PARTS)],
        Discriminator(_content_shape),
    ]
    name: Text | None = None

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


class StreamOptions(StrictModel):
    include_usage: bool = False


class ChatRequest(StrictModel):
    """`temperature` defaults to 0: a factory asks for the same answer to the same picture."""

    messages: Messages
    model: Text | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Annotated[
        Annotated[StopText, tag("text")]
        | Annotated[list[StopText], tag("list"), Field(max_length=4)]
        | Annotated[None, tag("none")],
        Discriminator(lambda value: "~none" if value is None else "~text" if isinstance(value, str) else "~list"),
    ] = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None

    # who asks, for the client's own books: accepted, without effect
    user: Text | None = None
    metadata: dict[str, Any] | None = None

    @field_validator("stream_options")
    @classmethod
    def _needs_a_stream(cls, value: StreamOptions | None, info: ValidationInfo) -> StreamOptions | None:
        if value is not None and not info.data.get("stream"):
            raise PydanticCustomError("stream_options", "It is only allowed together with 'stream': true")
        return value

    @property
    def token_limit(self) -> int | None:
        """The newer name wins where both are given."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def stop_strings(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
