"""The tables of fields that requests may hold without effect, and of those that are refused; made of the models."""

import json
from collections.abc import Iterator
from typing import Any, TypeVar

from edgevlm_server.api.chat import ChatRequest
from edgevlm_server.api.completions import CompletionRequest
from edgevlm_server.api.fields import GenerationFields, StreamOptions
from edgevlm_server.api.input_items import InputMessage
from edgevlm_server.api.messages import ImageFields, Message, PartFields
from edgevlm_server.api.responses import Reasoning, ResponsesRequest, TextOptions
from edgevlm_server.api.tokenize import TokenizeChat
from edgevlm_server.api.unsupported import NOTHING, ClientFields, Ignored, OtherServersFields, ToolFields, Unsupported
from pydantic import BaseModel

PLACES: dict[type[BaseModel], str] = {
    ClientFields: "every request",
    ToolFields: "chats and responses",
    GenerationFields: "chats and text completions",
    OtherServersFields: "chats and text completions",
    ChatRequest: "chats",
    CompletionRequest: "text completions",
    ResponsesRequest: "responses",
    StreamOptions: "`stream_options` of a chat",
    TextOptions: "`text` of a response",
    Reasoning: "`reasoning` of a response",
    Message: "messages of a chat",
    InputMessage: "messages of a response",
    PartFields: "parts of a message",
    ImageFields: "pictures",
    TokenizeChat: "`/tokenize`",
}
"""The models with fields of their own that do not act, and where users meet them."""

Marker = TypeVar("Marker", Ignored, Unsupported)


def ignored() -> Iterator[tuple[str, ...]]:
    """Where, and which."""
    yield "in", "fields"
    yield "---", "---"
    for model, place in PLACES.items():
        if names := [name for name, _ in _marked(model, Ignored)]:
            yield place, ", ".join(f"`{name}`" for name in names)


def refused() -> Iterator[tuple[str, ...]]:
    """Which, where, with which values beside the usual ones all the same, and why not with others."""
    yield "field", "in", "accepted", "why nothing else"
    yield "---", "---", "---", "---"
    for model, place in PLACES.items():
        for name, marker in _marked(model, Unsupported):
            usual = marker.nothing[: len(NOTHING)] == NOTHING
            listed = marker.nothing[len(NOTHING) :] if usual else marker.nothing
            values = ", ".join(f"`{json.dumps(value)}`" for value in listed)
            yield f"`{name}`", place, values, marker.reason


def _marked(model: type[BaseModel], kind: type[Marker]) -> Iterator[tuple[str, Marker]]:
    """The model's own fields of a kind."""
    for name in model.__annotations__:
        field: Any = model.model_fields.get(name)
        for marker in field.metadata if field else ():
            if isinstance(marker, kind):
                yield name, marker
