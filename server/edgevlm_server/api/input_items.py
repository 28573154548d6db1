"""Input as OpenAI's newer routes take it: a text, or messages of typed parts. Knows fields and bounds, no model."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from edgevlm_server.api.chat import MAX_MESSAGES, MAX_PARTS, ImageName
from edgevlm_server.api.strict import StrictModel, Text, by_type, tag, text_or
from edgevlm_server.request import ROLES, Picture, Turn


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


InputPart = Annotated[
    Annotated[InputText, tag("input_text")]
    | Annotated[InputImage, tag("input_image")]
    | Annotated[OutputText, tag("output_text")],
    by_type(
        {name: name for name in ("input_text", "input_image", "output_text")},
        "A content part must have the type 'input_text', 'input_image' or 'output_text'",
    ),
]


class InputMessage(StrictModel):
    """`id`, `status` and `phase` stand in answers that are sent back; they have no effect."""

    type: Literal["message"] | None = None
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        Annotated[Text, tag("text")]
        | Annotated[list[InputPart], tag("list"), Field(min_length=1, max_length=MAX_PARTS)],
        text_or("list"),
    ]
    id: Text | None = None
    status: Literal["in_progress", "completed", "incomplete"] | None = None
    phase: Literal["commentary", "final_answer"] | None = None

    def turn(self, place: str) -> Turn:
        """Texts of several parts are joined by line breaks."""
        role = ROLES[self.role]
        if isinstance(self.content, str):
            return Turn(role, self.content, (), place)
        texts = [part.text for part in self.content if not isinstance(part, InputImage)]
        images = [part for part in self.content if isinstance(part, InputImage)]
        pictures = tuple(Picture(image.image_url, image.uuid, place) for image in images)
        return Turn(role, "\n".join(texts), pictures, place)


Input = Annotated[
    Annotated[Text, tag("text")]
    | Annotated[list[InputMessage], tag("list"), Field(min_length=1, max_length=MAX_MESSAGES)],
    text_or("list"),
]


def conversation(given: str | list[InputMessage]) -> tuple[Turn, ...]:
    """The messages of a request that holds them under `input`; a text alone is the user's."""
    if isinstance(given, str):
        return (Turn("user", given, (), "input"),)
    return tuple(one.turn(f"input.{index}.content") for index, one in enumerate(given))
