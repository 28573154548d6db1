"""OpenAI's chat completions: the request, as far as this server acts on it, and its answers. Knows no HTTP."""

import json
import time
import uuid
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from edgevlm_server.api.fields import Count, GenerationFields, MinConfidence, StreamOptions, TopLogprobs, sureness
from edgevlm_server.api.messages import Messages, conversation
from edgevlm_server.api.unsupported import OPEN_TURN, Call, Effort, Hint, ToolFields, Unsupported
from edgevlm_server.errors import ApiError
from edgevlm_server.request import Request
from edgevlm_server.runtime.logprobs import Alternative
from edgevlm_server.runtime.output import Output, Usage
from edgevlm_server.runtime.written import Written, alternative
from edgevlm_server.text.tokenizer import Tokenizer

Body = dict[str, Any]


class ChatRequest(GenerationFields, ToolFields):
    """The conversation, and what only this route has."""

    messages: Messages
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: TopLogprobs | None = None
    min_confidence: MinConfidence | None = None

    functions: Hint = None
    function_call: Call = None
    reasoning_effort: Effort = None
    verbosity: Hint = None
    prediction: Hint = None
    chat_template_kwargs: Hint = None
    include_reasoning: Hint = None
    separate_reasoning: Hint = None
    modalities: Annotated[Any, Unsupported("Answers are text", (None, [], ["text"]))] = None
    audio: Annotated[Any, Unsupported("Answers are text")] = None
    web_search_options: Annotated[Any, Unsupported("The model cannot search")] = None
    moderation: Annotated[Any, Unsupported("Nothing is moderated here")] = None
    echo: Annotated[Any, Unsupported("The conversation is not repeated in the answer")] = None
    add_generation_prompt: Annotated[Any, Unsupported(OPEN_TURN, (None, True))] = None
    continue_final_message: Annotated[Any, Unsupported(OPEN_TURN)] = None

    @field_validator("top_logprobs")
    @classmethod
    def _needs_logprobs(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value and not info.data.get("logprobs"):
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
            generation=self.generation(limit, logprobs, min_confidence=self.min_confidence),
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
                "message": {"role": "assistant", "content": _content(answer), "refusal": answer.refusal},
                "logprobs": self._logprobs(answer.tokens),
                "finish_reason": answer.finish_reason,
                **sureness(answer),
            }
            for index, answer in enumerate(answers)
        ]
        return {**self._head, "object": "chat.completion", "choices": choices, "usage": usage_body(usage)}

    def begin(self, index: int, usage: Usage) -> str:
        """The role, once an answer, with empty content; no token of the answer is in it."""
        return self._chunk(index, {"role": "assistant", "content": ""}, usage._replace(completion=0))

    def piece(self, index: int, output: Output, usage: Usage) -> str:
        """A piece of text, the end, or both as two events: clients expect the end to come with an empty delta."""
        text = self._chunk(index, {"content": output.text}, usage, output.tokens) if output.text else ""
        refusal = self._chunk(index, {"refusal": output.refusal}, usage) if output.refusal else ""
        return text + refusal + (self._end(index, output, usage) if output.finish_reason else "")

    def _chunk(self, index: int, delta: Body, usage: Usage, tokens: Sequence[Written] = ()) -> str:
        logprobs = self._logprobs(tokens) if delta.get("content") else None
        return self._choice_event(
            {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None}, usage
        )

    def _end(self, index: int, output: Output, usage: Usage) -> str:
        end = {"index": index, "delta": {}, "logprobs": None, "finish_reason": output.finish_reason}
        return self._choice_event({**end, **sureness(output)}, usage)

    def _logprobs(self, tokens: Sequence[Written]) -> Body | None:
        if self._tokenizer is None:
            return None
        return {"content": logprob_entries(tokens, self._tokenizer), "refusal": None}


def _content(answer: Output) -> str | None:
    return None if answer.refusal else answer.text


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


def logprob_entries(tokens: Sequence[Written], tokenizer: Tokenizer) -> list[Body]:
    """Each token's text in the answer with its probability, and the likeliest tokens beside it."""

    def entry(text: str, data: bytes, logprob: float) -> Body:
        return {"token": text, "logprob": logprob, "bytes": list(data)}

    def beside(one: Alternative, first: bool) -> Body:
        return entry(*alternative(tokenizer, one.token, first=first), one.logprob)

    return [
        {
            **entry(token.text, token.data, token.logprobs.chosen.logprob),
            "top_logprobs": [beside(one, token.first) for one in token.logprobs.top],
        }
        for token in tokens
    ]


def event(body: Body) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"
