"""OpenAI's chat completions: the request, as far as this server acts on it, and its answers. Knows no HTTP."""

import json
import time
import uuid
from collections.abc import Sequence
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

from edgevlm_server.api.fields import Count, GenerationFields, StreamOptions, TopLogprobs
from edgevlm_server.api.strict import No, StrictModel, Text, by_type, no_tools, tag
from edgevlm_server.errors import ApiError
from edgevlm_server.request import ROLES, Picture, Request, Turn
from edgevlm_server.runtime.logprobs import Alternative, Logprobs
from edgevlm_server.runtime.output import FinishReason, Output, Usage
from edgevlm_server.text.tokenizer import Tokenizer

MAX_MESSAGES = 64
MAX_PARTS = 64

Body = dict[str, Any]

ImageName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
"""A client's own name for a picture: any text, since it is only ever compared."""


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


class ImagePart(StrictModel):
    """A picture, named by `uuid` if the client wants to ask about it again; with the name alone, one sent before.

    As the chat API or the Responses API spells it; the latter has `detail` beside the picture.
    """

    type: Literal["image_url", "input_image"]
    image_url: Annotated[
        Annotated[str, tag("text")] | Annotated[ImageUrl, tag("object")] | Annotated[None, tag("none")],
        Discriminator(lambda value: "~none" if value is None else "~text" if isinstance(value, str) else "~object"),
    ] = None
    detail: Literal["auto", "low", "high"] | None = None
    uuid: ImageName | None = None

    @model_validator(mode="after")
    def _is_something(self) -> "ImagePart":
        if self.image_url is None and self.uuid is None:
            raise PydanticCustomError("image", "It must hold 'image_url', 'uuid' or both")
        return self

    def picture(self, place: str) -> Picture:
        """A plain string stands for an object with only `url`."""
        url = self.image_url.url if isinstance(self.image_url, ImageUrl) else self.image_url
        return Picture(url, self.uuid, place)


Part = Annotated[
    Annotated[TextPart, tag("text")] | Annotated[ImagePart, tag("image_url")],
    by_type(
        {"text": "text", "input_text": "text", "image_url": "image_url", "input_image": "image_url"},
        "A content part must have the type 'text', 'input_text', 'image_url' or 'input_image'",
    ),
]


class Message(StrictModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        Annotated[Text, tag("text")] | Annotated[list[Part], tag("parts"), Field(min_length=1, max_length=MAX_PARTS)],
        Discriminator(lambda value: "~text" if isinstance(value, str) else "~parts"),
    ]
    name: Text | None = None
    # clients send back what they were sent
    refusal: None = None
    tool_calls: Annotated[list[Any], AfterValidator(no_tools)] | None = None
    function_call: None = None

    def turn(self, place: str) -> Turn:
        """Texts of several parts are joined by line breaks."""
        role = ROLES[self.role]
        if isinstance(self.content, str):
            return Turn(role, self.content, (), place)
        text = "\n".join(part.text for part in self.content if isinstance(part, TextPart))
        pictures = tuple(part.picture(place) for part in self.content if isinstance(part, ImagePart))
        return Turn(role, text, pictures, place)


Messages = Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]


def conversation(messages: Sequence[Message]) -> tuple[Turn, ...]:
    """The messages of a request that holds them under `messages`."""
    return tuple(message.turn(f"messages.{index}.content") for index, message in enumerate(messages))


class ChatRequest(GenerationFields):
    """The conversation, and what only this route has."""

    messages: Messages
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: TopLogprobs | None = None

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

    def request(self) -> Request:
        # the newer name wins where both are given
        limit = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        logprobs = (self.top_logprobs or 0) if self.logprobs else None
        return Request(
            place="messages",
            model=self.model,
            turns=conversation(self.messages),
            generation=self.generation(limit, logprobs),
            stream=bool(self.stream),
        )

    def writer(self, model: str, tokenizer: Tokenizer) -> "ChatWriter":
        return ChatWriter(model, tokenizer if self.logprobs else None, self.stream_options)


class EventWriter:
    """What chat and text completions have in common: all begins with `head`, and usage comes as asked."""

    def __init__(self, head: Body, options: StreamOptions | None) -> None:
        self._head = head
        self._with_usage = options is not None and bool(options.include_usage)
        self._always_usage = options is not None and bool(options.continuous_usage_stats)

    def end(self, usage: Usage) -> str:
        """The usage, if it was asked for, and the mark that nothing follows."""
        body = {**self._head, "choices": [], "usage": usage_body(usage)}
        return (event(body) if self._with_usage else "") + "data: [DONE]\n\n"

    def error(self, error: ApiError) -> str:
        """No [DONE] follows: the answer is not whole."""
        return event(error.body())

    def _choice_event(self, choice: Body, usage: Usage) -> str:
        body = {**self._head, "choices": [choice]}
        if self._with_usage:
            body["usage"] = usage_body(usage) if self._always_usage else None
        return event(body)


class ChatWriter(EventWriter):
    """`tokenizer` writes tokens with their probabilities, if these were asked for."""

    def __init__(self, model: str, tokenizer: Tokenizer | None, options: StreamOptions | None) -> None:
        super().__init__(new_head("chatcmpl", "chat.completion.chunk", model), options)
        self._tokenizer = tokenizer

    def whole(self, answers: Sequence[Output], usage: Usage) -> Body:
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": answer.text, "refusal": None},
                "logprobs": self._logprobs(answer.tokens),
                "finish_reason": answer.finish_reason,
            }
            for index, answer in enumerate(answers)
        ]
        return {**self._head, "object": "chat.completion", "choices": choices, "usage": usage_body(usage)}

    def begin(self, index: int, usage: Usage) -> str:
        """The role, once an answer, with empty content."""
        return self._chunk(index, {"role": "assistant", "content": ""}, usage)

    def piece(self, index: int, output: Output, usage: Usage) -> str:
        """A piece of text, the end, or both as two events: clients expect the end to come with an empty delta."""
        text = self._chunk(index, {"content": output.text}, usage, output.tokens) if output.text else ""
        end = self._chunk(index, {}, usage, reason=output.finish_reason) if output.finish_reason else ""
        return text + end

    def _chunk(
        self,
        index: int,
        delta: Body,
        usage: Usage,
        tokens: Sequence[Logprobs] = (),
        reason: FinishReason | None = None,
    ) -> str:
        logprobs = self._logprobs(tokens) if delta.get("content") else None
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return self._choice_event(choice, usage)

    def _logprobs(self, tokens: Sequence[Logprobs]) -> Body | None:
        if self._tokenizer is None:
            return None
        return {"content": logprob_entries(tokens, self._tokenizer), "refusal": None}


def new_head(prefix: str, kind: str, model: str) -> Body:
    """What all bodies and events of one response share."""
    return {"id": f"{prefix}-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}


def usage_body(usage: Usage) -> Body:
    """Tokens in and out, as OpenAI's older routes report them."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    }


def logprob_entries(tokens: Sequence[Logprobs], tokenizer: Tokenizer) -> list[Body]:
    """Each token with its probability, and the likeliest ones beside it."""

    def entry(one: Alternative) -> Body:
        data = tokenizer.bytes_of(one.token)
        return {"token": tokenizer.shown(one.token), "logprob": one.logprob, "bytes": list(data)}

    return [{**entry(token.chosen), "top_logprobs": [entry(one) for one in token.top]} for token in tokens]


def event(body: Body) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"
