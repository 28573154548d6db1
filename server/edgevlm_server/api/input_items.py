"""Input as OpenAI's newer routes take it: a text, or messages of typed parts. Knows fields and bounds, no model."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from edgevlm_server.api.messages import (
    CONTENT,
    MAX_MESSAGES,
    MAX_PARTS,
    EarlierRefusal,
    ImageFields,
    PartFields,
    parts,
)
from edgevlm_server.api.strict import PromptText, StrictModel, by_type, tag, text_or_list
from edgevlm_server.api.unsupported import NO_TOOLS, Hint, Unsupported
from edgevlm_server.request import ROLES, Turn

SEND_ITEMS = "This server keeps no items; send the item itself, as clients do with 'store': false"


class InputText(PartFields):
    type: Literal["input_text"]
    text: PromptText


class InputImage(ImageFields):
    """A picture as the Responses API writes it."""

    type: Literal["input_image"]
    image_url: str | None = None

    @property
    def source(self) -> str | None:
        """A data URL or an address."""
        return self.image_url or None


class EarlierText(StrictModel):
    """An earlier answer, as this server gave it; what is not its text may come along and has no effect."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={})

    type: Literal["output_text"]
    text: PromptText


InputPart = Annotated[
    Annotated[InputText, tag("input_text")]
    | Annotated[InputImage, tag("input_image")]
    | Annotated[EarlierText, tag("output_text")]
    | Annotated[EarlierRefusal, tag("refusal")],
    by_type(
        {name: name for name in ("input_text", "input_image", "output_text", "refusal")},
        "A content part must have the type 'input_text', 'input_image', 'output_text' or 'refusal'",
    ),
]


class InputMessage(StrictModel):
    """`id`, `status`, `phase`, `confidence` and `refused` stand in answers that are sent back."""

    type: Literal["message"] | None = None
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        Annotated[PromptText, tag("text")]
        | Annotated[list[InputPart], tag("list"), Field(min_length=1, max_length=MAX_PARTS)],
        text_or_list(CONTENT),
    ]
    id: Hint = None
    status: Hint = None
    phase: Hint = None
    confidence: Hint = None
    refused: Hint = None

    def turn(self, place: str) -> Turn:
        """In the prompt's terms."""
        return Turn(ROLES[self.role], parts(self.content, place), place)


InputItem = Annotated[
    Annotated[InputMessage, tag("message")]
    | Annotated[Any, Unsupported(SEND_ITEMS), tag("reference")]
    | Annotated[Any, Unsupported(NO_TOOLS), tag("call")],
    by_type(
        {
            None: "message",
            "message": "message",
            "item_reference": "reference",
            "function_call": "call",
            "function_call_output": "call",
        },
        "An item must be a message: its type is 'message', or absent",
    ),
]

Input = Annotated[
    Annotated[PromptText, tag("text")]
    | Annotated[list[InputItem], tag("list"), Field(min_length=1, max_length=MAX_MESSAGES)],
    text_or_list("It must be a text or a list of messages"),
]


def conversation(given: str | list[InputMessage]) -> tuple[Turn, ...]:
    """The messages of a request that holds them under `input`; a text alone is the user's."""
    if isinstance(given, str):
        return (Turn("user", (given,), "input"),)
    return tuple(one.turn(f"input.{index}.content") for index, one in enumerate(given))
