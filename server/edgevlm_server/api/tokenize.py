"""Texts and conversations to token ids, and back, in vLLM's shapes. Pictures are counted, not looked at; no HTTP.

Where vLLM's field could only be told its default here, that default is all that is accepted: MobileVLM's template
has one form, which begins with the begin token and ends in the open turn of the assistant.
"""

from typing import Annotated, Any

from edgevlm_engines import IMAGE_TOKEN
from pydantic import Discriminator, Field, RootModel

from edgevlm_server.api.answers import Counted, Detokenized, Tokenized
from edgevlm_server.api.completions import TokenIds
from edgevlm_server.api.messages import Messages, conversation
from edgevlm_server.api.strict import StrictModel, Text, tag
from edgevlm_server.api.unsupported import OPEN_TURN, Hint, Unsupported
from edgevlm_server.model import Model
from edgevlm_server.prepare import check_ids, check_model, read_prompt
from edgevlm_server.request import MAX_TEXT, Request
from edgevlm_server.text.tokenizer import Tokenizer


class TokenizeText(StrictModel):
    """Plain text, outside any template."""

    prompt: Text
    model: Text | None = None
    add_special_tokens: bool | None = None
    return_token_strs: bool | None = None

    def ids(self, model: Model, max_images: int) -> list[int]:
        """Raises `NotFound` for another model."""
        ids = read_prompt(Request(place="prompt", model=self.model, prompt=self.prompt), model, max_images).ids
        return ids[1:] if self.add_special_tokens is False else ids


class TokenizeChat(StrictModel):
    """A conversation, through the template: exactly what the chat route would put in front of the model."""

    messages: Messages
    model: Text | None = None
    add_generation_prompt: Annotated[Any, Unsupported(OPEN_TURN, (None, True))] = None
    continue_final_message: Annotated[Any, Unsupported(OPEN_TURN)] = None
    add_special_tokens: Annotated[Any, Unsupported("The template has its begin token")] = None
    tools: Hint = None
    chat_template_kwargs: Hint = None
    return_token_strs: bool | None = None

    def ids(self, model: Model, max_images: int) -> list[int]:
        """Raises `ApiError` for another model, or for what the chat route would refuse too."""
        request = Request(place="messages", model=self.model, turns=conversation(self.messages))
        return read_prompt(request, model, max_images).ids


def _shape(value: Any) -> str:
    return "~chat" if isinstance(value, dict) and value.get("messages") is not None else "~text"


class TokenizeRequest(
    RootModel[
        Annotated[
            Annotated[TokenizeText, tag("text")] | Annotated[TokenizeChat, tag("chat")],
            Discriminator(_shape),
        ]
    ]
):
    """A body with `messages` is a conversation, any other is text."""

    def answer(self, model: Model, max_images: int) -> Tokenized:
        """Raises `ApiError` for another model, or for a conversation that the chat route would refuse too."""
        ids = self.root.ids(model, max_images)
        shown = [_shown(model.tokenizer, token) for token in ids] if self.root.return_token_strs else None
        return Tokenized(count=len(ids), max_model_len=model.engine.info.max_length, tokens=ids, token_strs=shown)


class DetokenizeRequest(StrictModel):
    tokens: Annotated[TokenIds, Field(max_length=MAX_TEXT)]
    model: Text | None = None

    def answer(self, model: Model) -> Detokenized:
        """Control tokens have no text. Raises `ApiError` for ids outside the vocabulary."""
        check_model(self.model, model)
        check_ids(self.tokens, model, "tokens")
        return Detokenized(prompt=_text(model.tokenizer, self.tokens))


def count(request: Request, model: Model, max_images: int) -> Counted:
    """Positions that a request's conversation takes as one prompt, whether or not it fits. Raises `ApiError`.

    An answer that is filled field by field takes about as many for each field.
    """
    return Counted(input_tokens=len(read_prompt(request, model, max_images).ids))


def _text(tokenizer: Tokenizer, ids: list[int]) -> str:
    """The text that encoding made these ids of; what is no UTF-8 becomes U+FFFD."""
    text = b"".join(map(tokenizer.bytes_of, ids)).decode("utf-8", "replace")
    # encoding put a space in front of the text
    return text.removeprefix(" ")


def _shown(tokenizer: Tokenizer, token: int) -> str:
    return "<image>" if token == IMAGE_TOKEN else tokenizer.piece(token)
