"""Requests about tokens, in vLLM's shapes. Knows fields and bounds, nothing else.

Where vLLM's field could only be told its default here, that default is all that is accepted: MobileVLM's template
has one form, which begins with the begin token and ends in the open turn of the assistant.
"""

from typing import Annotated, Any

from pydantic import Discriminator, Field, RootModel

from edgevlm_server.api.chat import Messages
from edgevlm_server.api.strict_model import MAX_TEXT, No, StrictModel, Text, Yes, tag

MAX_IDS = MAX_TEXT
"""Token ids in one request: as many as the longest text could become."""


class TokenizeText(StrictModel):
    """Plain text, outside any template."""

    prompt: Text
    model: Text | None = None
    add_special_tokens: bool = True
    return_token_strs: bool | None = None


class TokenizeChat(StrictModel):
    """A conversation, through the template: exactly what the chat route would put in front of the model."""

    messages: Messages
    model: Text | None = None
    add_generation_prompt: Yes | None = None
    continue_final_message: No | None = None
    add_special_tokens: No | None = None
    return_token_strs: bool | None = None


def _shape(value: Any) -> str:
    return (
        "~chat" if isinstance(value, TokenizeChat) or (isinstance(value, dict) and "messages" in value) else "~text"
    )


class TokenizeRequest(
    RootModel[
        Annotated[
            Annotated[TokenizeText, tag("text")] | Annotated[TokenizeChat, tag("chat")],
            Discriminator(_shape),
        ]
    ]
):
    """A body with `messages` is a conversation, any other is text."""


class DetokenizeRequest(StrictModel):
    tokens: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(max_length=MAX_IDS)]
    model: Text | None = None
