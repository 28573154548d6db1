"""An answer in the shape of OpenAI's text completions. Knows their keys and their order, no state and no I/O."""

import codecs
import time
import uuid
from collections.abc import Sequence
from typing import Any

from edgevlm_server.api.chat_format import event, usage_body
from edgevlm_server.api.completions import CompletionRequest
from edgevlm_server.errors import ApiError
from edgevlm_server.runtime.choices import Whole
from edgevlm_server.runtime.logprobs import Alternative, Logprobs
from edgevlm_server.runtime.output import Delta, FinishReason, Usage
from edgevlm_server.text.tokenizer import Tokenizer


class CompletionFormat:
    """The bodies and events of one response: all share its id, time and model name."""

    def __init__(self, asked: CompletionRequest, model: str, tokenizer: Tokenizer) -> None:
        self._head = {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
        }
        self._with_usage = asked.include_usage
        self._always_usage = asked.continuous_usage
        count = asked.n or 1
        self._logprobs = None if asked.logprobs is None else [_Listing(tokenizer) for _ in range(count)]

    def completion(self, answers: Sequence[Whole], usage: Usage) -> dict[str, Any]:
        """The body of answers that are not streamed."""
        choices = [
            self._choice(index, answer.text, answer.tokens, answer.finish_reason)
            for index, answer in enumerate(answers)
        ]
        return {**self._head, "choices": choices, "usage": usage_body(usage)}

    def first_chunk(self, index: int, usage: Usage) -> str:
        """Nothing: an answer begins with its text."""
        return ""

    def chunks(self, index: int, delta: Delta, usage: Usage) -> str:
        """A piece of text, the end, or both in one event."""
        body = {**self._head, "choices": [self._choice(index, delta.text, delta.tokens, delta.finish_reason)]}
        if self._with_usage:
            body["usage"] = usage_body(usage) if self._always_usage else None
        return event(body)

    def ending(self, usage: Usage) -> str:
        """The usage, if it was asked for, and the mark that nothing follows."""
        body = {**self._head, "choices": [], "usage": usage_body(usage)}
        return (event(body) if self._with_usage else "") + "data: [DONE]\n\n"

    def error(self, error: ApiError) -> str:
        """What went wrong after the answer had begun. No [DONE] follows: the answer is not whole."""
        return event(error.body())

    def _choice(
        self, index: int, text: str, tokens: Sequence[Logprobs], reason: FinishReason | None
    ) -> dict[str, Any]:
        logprobs = None if self._logprobs is None else self._logprobs[index].of(tokens)
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}


class _Listing:
    """Probabilities as this route lists them, and at which character of its answer each token begins."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._offset = 0

    def of(self, tokens: Sequence[Logprobs]) -> dict[str, Any]:
        chosen = [token.chosen for token in tokens]
        return {
            "tokens": [self._tokenizer.shown(one.token) for one in chosen],
            "token_logprobs": [one.logprob for one in chosen],
            "top_logprobs": [self._named(token.top) for token in tokens],
            "text_offset": [self._begins(one.token) for one in chosen],
        }

    def _named(self, top: Sequence[Alternative]) -> dict[str, float]:
        # two tokens can look alike; the likelier one is named
        return {self._tokenizer.shown(one.token): one.logprob for one in reversed(top)}

    def _begins(self, token: int) -> int:
        begin = self._offset
        self._offset += len(self._decoder.decode(self._tokenizer.bytes_of(token)))
        return begin
