"""The fields that generating routes share, in OpenAI's and vLLM's names. Knows their types and bounds.

A field that is neither here nor in `unsupported` is refused by name: one that is accepted and does nothing is a wrong
answer that nobody notices.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Protocol, runtime_checkable

from pydantic import Discriminator, Field, StringConstraints, field_validator
from pydantic_core import PydanticCustomError

from edgevlm_server.api.guided import GuidedFields, filled, structure
from edgevlm_server.api.strict import StrictModel, Text, tag
from edgevlm_server.api.unsupported import ClientFields, Hint, OtherServersFields
from edgevlm_server.errors import ApiError
from edgevlm_server.request import Generation, Request
from edgevlm_server.runtime.output import Output, Usage
from edgevlm_server.runtime.sampling import SamplingParams
from edgevlm_server.text.tokenizer import Tokenizer

MAX_ANSWERS = 16
MAX_BIASES = 1024
MAX_LOGPROBS = 20

Count = Annotated[int, Field(ge=1)]
TopLogprobs = Annotated[int, Field(ge=0, le=MAX_LOGPROBS)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
MinConfidence = Annotated[float, Field(ge=0, le=1)]
"""How sure an answer must be; one that is not is refused."""
StopText = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class ResponseWriter(Protocol):
    """Writes the answers to one request in its route's shape."""

    def whole(self, answers: Sequence[Output], usage: Usage) -> dict[str, Any] | str:
        """The body of answers that are not streamed: JSON, or plain text."""
        ...


@runtime_checkable
class StreamWriter(ResponseWriter, Protocol):
    """The same, piece by piece as well; each method returns server-sent events, or nothing."""

    def begin(self, index: int, usage: Usage) -> str:
        """The events that begin an answer."""
        ...

    def piece(self, index: int, output: Output, usage: Usage) -> str:
        """The events for a piece of an answer."""
        ...

    def end(self, usage: Usage) -> str:
        """The events behind the last answer."""
        ...

    def error(self, error: ApiError) -> str:
        """The events for what went wrong after the answer had begun."""
        ...


class GenerateRequest(Protocol):
    """What every generating route parses its body into."""

    def request(self) -> Request:
        """The same request in this server's terms. Raises `InvalidRequest`."""
        ...

    def writer(self, model: str, tokenizer: Tokenizer) -> ResponseWriter:
        """How its answers are written; must not keep hold of the request's pictures."""
        ...


def sureness(answer: Output) -> dict[str, Any]:
    """How sure a whole answer is, and why it is none, as every route names it."""
    assert answer.confidence is not None, "the last piece has it"
    return {"confidence": round(answer.confidence, 6), "refused": answer.refused}


def sureness_headers(answers: Sequence[Output]) -> dict[str, str]:
    """The same in the head, for whoever reads no body; several answers are not told apart there."""
    if len(answers) > 1:
        return {}
    known = sureness(answers[0])
    head = {"x-confidence": f"{known['confidence']:.4f}"}
    return head if known["refused"] is None else {**head, "x-refused": known["refused"]}


class StreamOptions(StrictModel):
    """`continuous_usage_stats` puts the usage so far into every event, if there is to be any usage."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None
    include_obfuscation: Hint = None


class SamplingFields(ClientFields):
    """`temperature` defaults to 0: a factory asks for the same answer to the same picture."""

    model: Text | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    stream: bool | None = None

    def sampling(self, **others: Any) -> SamplingParams:
        """How tokens are chosen; `others` are what only some routes offer."""
        return SamplingParams(
            temperature=self.temperature or 0.0,
            top_p=1.0 if self.top_p is None else self.top_p,
            top_k=max(self.top_k or 0, 0),
            min_p=self.min_p or 0.0,
            seed=self.seed,
            presence_penalty=self.presence_penalty or 0.0,
            frequency_penalty=self.frequency_penalty or 0.0,
            repetition_penalty=1.0 if self.repetition_penalty is None else self.repetition_penalty,
            **others,
        )


class GenerationFields(SamplingFields, GuidedFields, OtherServersFields):
    """What chat and text completions have in common."""

    max_tokens: Count | None = None
    min_tokens: Annotated[int, Field(ge=0)] | None = None
    logit_bias: (
        Annotated[dict[str, Annotated[float, Field(ge=-100, le=100)] | None], Field(max_length=MAX_BIASES)] | None
    ) = None
    stop: Annotated[
        Annotated[StopText, tag("text")]
        | Annotated[list[StopText], tag("list"), Field(max_length=4)]
        | Annotated[None, tag("none")],
        Discriminator(lambda value: "~none" if value is None else "~text" if isinstance(value, str) else "~list"),
    ] = None
    ignore_eos: bool | None = None
    n: Annotated[int, Field(ge=1, le=MAX_ANSWERS)] | None = None
    stream_options: StreamOptions | None = None
    metadata: Hint = None

    @field_validator("logit_bias")
    @classmethod
    def _names_tokens(cls, value: dict[str, float | None] | None) -> dict[str, float | None] | None:
        if not all(key.isascii() and key.isdecimal() and len(key) < 10 for key in value or ()):
            raise PydanticCustomError("logit_bias", "Its keys must be token ids")
        return value

    def generation(self, max_tokens: int | None, logprobs: int | None, **others: Any) -> Generation:
        """What is wanted. Raises `InvalidRequest` for an answer's form that cannot be followed.

        `max_tokens` and `logprobs` are as in `Generation`, and so are `others`: the routes have different fields for
        them.
        """
        biases = ((int(token), bias) for token, bias in (self.logit_bias or {}).items() if bias is not None)
        return Generation(
            sampling=self.sampling(logit_bias=tuple(biases)),
            max_tokens=max_tokens,
            min_tokens=self.min_tokens or 0,
            ignore_eos=bool(self.ignore_eos),
            stop=(self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()),
            choices=self.n or 1,
            logprobs=logprobs,
            structure=structure(self) if self.model_fields_set & GuidedFields.model_fields.keys() else None,
            fill=None if self.response_format is None else filled(self.response_format, "response_format"),
            **others,
        )
