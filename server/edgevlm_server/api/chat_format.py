"""An answer in OpenAI's wire shapes. Knows their keys and their order, no state and no I/O."""

import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

from edgevlm_server.errors import ApiError
from edgevlm_server.runtime.choices import Whole
from edgevlm_server.runtime.logprobs import Alternative, Logprobs
from edgevlm_server.runtime.output import Delta, FinishReason, Usage
from edgevlm_server.text.tokenizer import Tokenizer


class ChatFormat:
    """The bodies and events of one response: all share its id, time and model name.

    `continuous_usage`: every event carries the usage so far, and not the last one alone.
    """

    def __init__(
        self, model: str, tokenizer: Tokenizer, *, include_usage: bool, continuous_usage: bool, logprobs: bool
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._with_usage = include_usage
        self._always_usage = continuous_usage
        self._with_logprobs = logprobs

    def completion(self, answers: Sequence[Whole], usage: Usage) -> dict[str, Any]:
        """The body of answers that are not streamed."""
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": answer.text, "refusal": None},
                "logprobs": self._logprobs(answer.tokens),
                "finish_reason": answer.finish_reason,
            }
            for index, answer in enumerate(answers)
        ]
        return {**self._head("chat.completion"), "choices": choices, "usage": usage_body(usage)}

    def first_chunk(self, index: int, usage: Usage) -> str:
        """The role, once an answer, with empty content."""
        return self._chunk(index, {"role": "assistant", "content": ""}, usage)

    def chunks(self, index: int, delta: Delta, usage: Usage) -> str:
        """A piece of text, the end, or both as two events: clients expect the end to come with an empty delta."""
        text = self._chunk(index, {"content": delta.text}, usage, delta.tokens) if delta.text else ""
        end = self._chunk(index, {}, usage, reason=delta.finish_reason) if delta.finish_reason else ""
        return text + end

    def ending(self, usage: Usage) -> str:
        """The usage, if it was asked for, and the mark that nothing follows."""
        body = {**self._head("chat.completion.chunk"), "choices": [], "usage": usage_body(usage)}
        return (event(body) if self._with_usage else "") + "data: [DONE]\n\n"

    def error(self, error: ApiError) -> str:
        """What went wrong after the answer had begun. No [DONE] follows: the answer is not whole."""
        return event(error.body())

    def _chunk(
        self,
        index: int,
        delta: dict[str, Any],
        usage: Usage,
        tokens: Sequence[Logprobs] = (),
        reason: FinishReason | None = None,
    ) -> str:
        logprobs = self._logprobs(tokens) if delta.get("content") else None
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        body = {**self._head("chat.completion.chunk"), "choices": [choice]}
        if self._with_usage:
            body["usage"] = usage_body(usage) if self._always_usage else None
        return event(body)

    def _logprobs(self, tokens: Sequence[Logprobs]) -> dict[str, Any] | None:
        if not self._with_logprobs:
            return None
        content = [
            {**self._token(token.chosen), "top_logprobs": [self._token(one) for one in token.top]} for token in tokens
        ]
        return {"content": content, "refusal": None}

    def _token(self, alternative: Alternative) -> dict[str, Any]:
        data = self._tokenizer.bytes_of(alternative.token)
        return {
            "token": self._tokenizer.shown(alternative.token),
            "logprob": alternative.logprob,
            "bytes": list(data),
        }

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}


def usage_body(usage: Usage) -> dict[str, Any]:
    """Tokens in and out, as every route reports them."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    }


def event(body: dict[str, Any]) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"
