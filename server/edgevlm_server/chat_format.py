"""An answer in OpenAI's wire shapes. Knows their keys and their order, no state and no I/O."""

import json
import time
import uuid
from typing import Any

from edgevlm_server.answer import Delta, FinishReason, Usage
from edgevlm_server.errors import ApiError


class ChatFormat:
    """The bodies and events of one response: all share its id, time and model name."""

    def __init__(self, model: str, *, include_usage: bool) -> None:
        self._model = model
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._with_usage = include_usage

    def completion(self, text: str, reason: FinishReason | None, usage: Usage) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        return {**self._head("chat.completion"), "choices": [choice], "usage": _usage(usage)}

    def first_chunk(self) -> str:
        """The role, once, with empty content."""
        return self._chunk({"role": "assistant", "content": ""}, None)

    def chunks(self, delta: Delta) -> str:
        """A piece of text, the end, or both as two events: clients expect the end to come with an empty delta."""
        text = self._chunk({"content": delta.text}, None) if delta.text else ""
        end = self._chunk({}, delta.finish_reason) if delta.finish_reason else ""
        return text + end

    def ending(self, usage: Usage) -> str:
        """The usage, if it was asked for, and the mark that nothing follows."""
        body = {**self._head("chat.completion.chunk"), "choices": [], "usage": _usage(usage)}
        return (_event(body) if self._with_usage else "") + "data: [DONE]\n\n"

    def error(self, error: ApiError) -> str:
        """What went wrong after the answer had begun. No [DONE] follows: the answer is not whole."""
        return _event(error.body())

    def _chunk(self, delta: dict[str, Any], reason: FinishReason | None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        body = {**self._head("chat.completion.chunk"), "choices": [choice]}
        if self._with_usage:
            body["usage"] = None
        return _event(body)

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    }


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"
