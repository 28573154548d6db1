"""OpenAI's text completions: the request, as far as this server acts on it, and its answers. Knows no HTTP."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Discriminator, Field

from edgevlm_server.api.chat import Body, EventWriter, new_head, usage_body
from edgevlm_server.api.fields import GenerationFields, StreamOptions, TopLogprobs, sureness
from edgevlm_server.api.strict import PromptText, tag
from edgevlm_server.api.unsupported import Unsupported
from edgevlm_server.request import Request
from edgevlm_server.runtime.logprobs import Logprobs
from edgevlm_server.runtime.output import Output, Usage
from edgevlm_server.runtime.written import Written
from edgevlm_server.text.tokenizer import Tokenizer

TokenIds = list[Annotated[int, Field(ge=0, lt=2**31)]]


def _shape(value: Any) -> str:
    if isinstance(value, str):
        return "~text"
    first = next(iter(value), None) if isinstance(value, list) else None
    return "~texts" if isinstance(first, str) else "~lists" if isinstance(first, list) else "~ids"


class CompletionRequest(GenerationFields):
    """A prompt goes to the model as it is, behind the begin token: no template, no images.

    Token ids, as `/tokenize` gives them, go there without a begin token of the server's own.
    """

    prompt: Annotated[
        Annotated[PromptText, tag("text")]
        | Annotated[list[PromptText], tag("texts"), Field(min_length=1, max_length=1)]
        | Annotated[list[Annotated[TokenIds, Field(min_length=1)]], tag("lists"), Field(min_length=1, max_length=1)]
        | Annotated[TokenIds, tag("ids"), Field(min_length=1)],
        Discriminator(_shape),
    ]
    logprobs: TopLogprobs | None = None

    echo: Annotated[Any, Unsupported("The prompt is not repeated in the answer")] = None
    suffix: Annotated[Any, Unsupported("MobileVLM models only go on with a text")] = None

    def request(self) -> Request:
        return Request(
            place="prompt",
            model=self.model,
            prompt=self._prompt,
            generation=self.generation(self.max_tokens, self.logprobs, keep_space=True, min_confidence=0.0),
            stream=bool(self.stream),
        )

    def writer(self, model: str, tokenizer: Tokenizer) -> "CompletionWriter":
        listings = None if self.logprobs is None else [_Listing(tokenizer) for _ in range(self.n or 1)]
        return CompletionWriter(model, listings, self.stream_options)

    @property
    def _prompt(self) -> str | tuple[int, ...]:
        if isinstance(self.prompt, str):
            return self.prompt
        first = self.prompt[0]
        if isinstance(first, str):
            return first
        return tuple(first if isinstance(first, list) else (one for one in self.prompt if isinstance(one, int)))


class CompletionWriter(EventWriter):
    """`logprobs` are one listing for each answer, if probabilities were asked for."""

    def __init__(self, model: str, logprobs: "list[_Listing] | None", options: StreamOptions | None) -> None:
        super().__init__(new_head("cmpl", "text_completion", model), options)
        self._logprobs = logprobs

    def whole(self, answers: Sequence[Output], usage: Usage) -> Body:
        choices = [self._choice(index, answer) for index, answer in enumerate(answers)]
        return {**self._head, "choices": choices, "usage": usage_body(usage)}

    def begin(self, index: int, usage: Usage) -> str:
        """Nothing: an answer begins with its text."""
        return ""

    def piece(self, index: int, output: Output, usage: Usage) -> str:
        """A piece of text, the end, or both in one event."""
        return self._choice_event(self._choice(index, output), usage)

    def _choice(self, index: int, output: Output) -> Body:
        logprobs = None if self._logprobs is None else self._logprobs[index].of(output.tokens)
        choice = {"index": index, "text": output.text, "logprobs": logprobs, "finish_reason": output.finish_reason}
        return {**choice, **sureness(output)} if output.finish_reason else choice


class _Listing:
    """Probabilities as this route lists them, and at which character of its answer each token begins."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._offset = 0

    def of(self, tokens: Sequence[Written]) -> Body:
        return {
            "tokens": [token.text for token in tokens],
            "token_logprobs": [token.logprobs.chosen.logprob for token in tokens],
            "top_logprobs": [self._named(token.logprobs) for token in tokens],
            "text_offset": [self._begins(token.text) for token in tokens],
        }

    def _named(self, known: Logprobs) -> dict[str, float]:
        # the chosen token stands there in any case; two tokens can look alike, and the likelier one is named
        return {self._tokenizer.shown(one.token): one.logprob for one in (known.chosen, *reversed(known.top))}

    def _begins(self, text: str) -> int:
        begin = self._offset
        self._offset += len(text)
        return begin
