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
)
from pydantic_core import PydanticCustomError

MAX_MESSAGES = 64
MAX_PARTS = 64
MAX_TEXT = 32_768
"""Characters of one text. More cannot fit into the longest context of any MobileVLM, 4096 tokens."""

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
StopText = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class TextPart(_Model):
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


def _tag(name: str) -> Tag:
    """Tags begin with a character that no field has, so that they can be left out of an error's path."""
    return Tag(f"~{name}")


def _url_shape(value: Any) -> str:
    return "~text" if isinstance(value, str) else "~object"


_PART_TAGS = {"text": "~text", "input_text": "~text", "image_url": "~image_url", "input_image": "~image_url"}


def _part_type(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    # a list or an object cannot be looked up
    return _PART_TAGS.get(kind) if isinstance(kind, str) else None


def _content_shape(value: Any) -> str:
    return "~text" if isinstance(value, str) else "~parts"


class ImagePart(_Model):
    """As the chat API or the Responses API spells it; the latter has `detail` beside the picture."""

    type: Literal["image_url", "input_image"]
    image_url: Annotated[
        Annotated[str, _tag("text")] | Annotated[ImageUrl, _tag("object")], Discriminator(_url_shape)
    ]
    detail: Literal["auto", "low", "high"] | None = None

    @property
    def url(self) -> str:
        """The text that holds the picture; a plain string stands for an object with only `url`."""
        return self.image_url if isinstance(self.image_url, str) else self.image_url.url


Part = Annotated[
    Annotated[TextPart, _tag("text")] | Annotated[ImagePart, _tag("image_url")],
    Discriminator(
        _part_type,
        custom_error_type="part_type",
        custom_error_message="A content part must have the type 'text', 'input_text', 'image_url' or 'input_image'",
    ),
]


class Message(_Model):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        Annotated[Text, _tag("text")]
        | Annotated[list[Part], _tag("parts"), Field(min_length=1, max_length=MAX_PARTS)],
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


class StreamOptions(_Model):
    include_usage: bool = False


class ChatRequest(_Model):
    """`temperature` defaults to 0: a factory asks for the same answer to the same picture."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    model: Text | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Annotated[
        Annotated[StopText, _tag("text")]
        | Annotated[list[StopText], _tag("list"), Field(max_length=4)]
        | Annotated[None, _tag("none")],
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
