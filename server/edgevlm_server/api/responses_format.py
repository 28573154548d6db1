"""An answer in the shape of OpenAI's responses, whole or as typed events. Knows their keys and order, no I/O."""

import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

from edgevlm_server.api.responses import LOGPROBS, ResponsesRequest
from edgevlm_server.errors import ApiError
from edgevlm_server.runtime.choices import Whole
from edgevlm_server.runtime.logprobs import Alternative, Logprobs
from edgevlm_server.runtime.output import Delta, FinishReason, Usage
from edgevlm_server.text.tokenizer import Tokenizer

Body = dict[str, Any]


class ResponsesFormat:
    """One response; its events are numbered, and its text is gathered for the events that repeat all of it."""

    def __init__(self, asked: ResponsesRequest, model: str, tokenizer: Tokenizer) -> None:
        self._asked = asked
        self._model = model
        self._tokenizer = tokenizer
        self._id = f"resp_{uuid.uuid4().hex}"
        self._item = f"msg_{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._with_logprobs = LOGPROBS in (asked.include or ())
        self._number = 0
        self._text = ""
        self._tokens: list[Logprobs] = []
        self._reason: FinishReason | None = None

    def completion(self, answers: Sequence[Whole], usage: Usage) -> Body:
        """The body of an answer that is not streamed."""
        [answer] = answers
        self._text, self._reason = answer.text, answer.finish_reason
        self._tokens = list(answer.tokens)
        return self._response(self._status, usage)

    def first_chunk(self, index: int, usage: Usage) -> str:
        """That there is a response, and where its text will stand."""
        begun = self._response("in_progress", None)
        item = {**self._message("in_progress"), "content": []}
        return (
            self._event("response.created", response=begun)
            + self._event("response.in_progress", response=begun)
            + self._event("response.output_item.added", output_index=0, item=item)
            + self._event("response.content_part.added", **self._place, part=self._part())
        )

    def chunks(self, index: int, delta: Delta, usage: Usage) -> str:
        """A piece of text."""
        self._reason = delta.finish_reason or self._reason
        if not delta.text:
            return ""
        self._text += delta.text
        self._tokens += delta.tokens
        tokens = self._logprobs(delta.tokens)
        return self._event("response.output_text.delta", **self._place, delta=delta.text, logprobs=tokens)

    def ending(self, usage: Usage) -> str:
        """All of the text once more, and the whole response."""
        whole = self._response(self._status, usage)
        tokens = self._logprobs(self._tokens)
        return (
            self._event("response.output_text.done", **self._place, text=self._text, logprobs=tokens)
            + self._event("response.content_part.done", **self._place, part=self._part())
            + self._event("response.output_item.done", output_index=0, item=self._message(self._status))
            + self._event(f"response.{self._status}", response=whole)
        )

    def error(self, error: ApiError) -> str:
        """What went wrong after the answer had begun."""
        failed = self._response("failed", None)
        return self._event(
            "response.failed", response={**failed, "error": {"code": "server_error", "message": error.message}}
        )

    @property
    def _status(self) -> str:
        return "incomplete" if self._reason == "length" else "completed"

    @property
    def _place(self) -> Body:
        return {"item_id": self._item, "output_index": 0, "content_index": 0}

    def _part(self) -> Body:
        return {
            "type": "output_text",
            "text": self._text,
            "annotations": [],
            "logprobs": self._logprobs(self._tokens),
        }

    def _message(self, status: str) -> Body:
        return {
            "type": "message",
            "id": self._item,
            "status": status,
            "role": "assistant",
            "content": [self._part()],
        }

    def _response(self, status: str, usage: Usage | None) -> Body:
        asked = self._asked
        over = status in ("completed", "incomplete")
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "metadata": asked.metadata or {},
            "model": self._model,
            "output": [self._message(status)] if over else [],
            "parallel_tool_calls": bool(asked.parallel_tool_calls),
            "previous_response_id": None,
            "store": False,
            "temperature": asked.temperature or 0.0,
            "text": {"format": _text_format(asked)},
            "tool_choice": "none",
            "tools": [],
            "top_p": 1.0 if asked.top_p is None else asked.top_p,
            "truncation": "disabled",
            "usage": None if usage is None else _usage(usage),
        }

    def _logprobs(self, tokens: Sequence[Logprobs]) -> list[Body]:
        if not self._with_logprobs:
            return []
        return [
            {**self._token(token.chosen), "top_logprobs": [self._token(one) for one in token.top]} for token in tokens
        ]

    def _token(self, alternative: Alternative) -> Body:
        data = self._tokenizer.bytes_of(alternative.token)
        shown = self._tokenizer.shown(alternative.token)
        return {"token": shown, "logprob": alternative.logprob, "bytes": list(data)}

    def _event(self, kind: str, **fields: Any) -> str:
        body = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return f"event: {kind}\ndata: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"


def _text_format(asked: ResponsesRequest) -> Body:
    if asked.text is None or asked.text.format is None:
        return {"type": "text"}
    return asked.text.format.model_dump(by_alias=True)


def _usage(usage: Usage) -> Body:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt + usage.completion,
    }
