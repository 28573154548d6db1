"""The bodies that this server answers with, one class a shape, for its OpenAPI document. Knows fields, no values.

Small answers are made from these classes; those of generating routes are written key by key by their route's writer,
and tests hold the two together.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgevlm_server.refusals import NoValue, Refused


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(_Answer):
    """What is wrong, in one sentence; `code` is for programs, `param` names the place in the request."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(_Answer):
    """OpenAI's shape of every error."""

    error: Problem


class Health(_Answer):
    status: Literal["ok"]


class Readiness(_Answer):
    status: Literal["ready"]


class Version(_Answer):
    """vLLM's shape, with the commit that the program was built from, null if that is not known."""

    version: str
    commit: str | None


class ModelCard(_Answer):
    """OpenAI's shape, with vLLM's `max_model_len`: positions of one prompt with its answer.

    `description` is what the model's maker says that it can read, for people; often empty.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["edgevlm"] = "edgevlm"
    max_model_len: int
    description: str


class ModelList(_Answer):
    object: Literal["list"] = "list"
    data: list[ModelCard]


class Tokenized(_Answer):
    """vLLM's shape. An image is `-200`, upstream's mark for it, once for each position that it takes."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None = None


class Detokenized(_Answer):
    """vLLM's shape."""

    prompt: str


class Counted(_Answer):
    """OpenAI's shape of a counted input; images are counted with every position that they take."""

    object: Literal["response.input_tokens"] = "response.input_tokens"
    input_tokens: int


class CachedTokens(_Answer):
    cached_tokens: int


class ChatUsage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens


class Sure(BaseModel):
    """`confidence`: how likely the model was to give this answer, 0 to 1. `refused`: why it is none."""

    confidence: float
    refused: Refused | None


class ChatMessage(BaseModel):
    """`refusal` stands in place of the content where the answer is not sure enough."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None


class ChatChoice(Sure):
    index: int
    message: ChatMessage
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length"]


class ChatCompletion(BaseModel):
    """OpenAI's shape."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice] = Field(min_length=1)
    usage: ChatUsage


class CompletionChoice(Sure):
    index: int
    text: str
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length"]


class Completion(BaseModel):
    """OpenAI's shape."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice] = Field(min_length=1)
    usage: ChatUsage


class FormAnswer(_Answer):
    """The answer to a form."""

    answer: str
    finish_reason: Literal["stop", "length"]
    confidence: float
    refused: Literal["by_model"] | None
    model: str
    usage: ChatUsage


class FieldReading(_Answer):
    """`raw` is what the model answered; `reason` says why there is no value. A list's values are texts."""

    name: str
    value: str | bool | int | float | list[str] | None
    unit: str | None
    confidence: float
    raw: str
    reason: NoValue | None


class Readings(_Answer):
    """Fields are in their order; `values` has the same by their names."""

    id: str
    object: Literal["readings"]
    created: int
    model: str
    station: str | None
    values: dict[str, str | bool | int | float | list[str] | None]
    fields: list[FieldReading]
    usage: ChatUsage


class Station(_Answer):
    """As its file describes it; `has_source`: a request need send no picture."""

    name: str
    has_source: bool
    crop: str | None = None
    rotate: str | float | None = None
    deskew: str | None = None
    min_confidence: float | None = None
    fields: list[dict[str, Any]]


class StationList(_Answer):
    object: Literal["list"] = "list"
    data: list[Station]


class InputDetails(BaseModel):
    """`cache_write_tokens` is not counted, since nothing is billed for it: always 0."""

    cached_tokens: int
    cache_write_tokens: Literal[0]


class OutputDetails(BaseModel):
    reasoning_tokens: Literal[0]


class ResponseUsage(BaseModel):
    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


class OutputText(BaseModel):
    type: Literal["output_text"]
    text: str
    annotations: list[Any] = Field(max_length=0)
    logprobs: list[dict[str, Any]]


class OutputRefusal(BaseModel):
    type: Literal["refusal"]
    refusal: str


class OutputMessage(Sure):
    type: Literal["message"]
    id: str
    status: Literal["completed", "incomplete"]
    role: Literal["assistant"]
    content: list[OutputText | OutputRefusal] = Field(min_length=1, max_length=1)


class OpenResponse(BaseModel):
    """OpenAI's shape, without what only a server that keeps responses can say."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed", "incomplete"]
    error: None
    incomplete_details: dict[str, str] | None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    output: list[OutputMessage] = Field(min_length=1, max_length=1)
    parallel_tool_calls: bool
    store: Literal[False]
    temperature: float
    text: dict[str, Any]
    tool_choice: Literal["none"]
    tools: list[Any] = Field(max_length=0)
    top_p: float
    truncation: Literal["disabled"]
    usage: ResponseUsage


class Diagnostics(_Answer):
    """`label_mass`: how likely the model is to say any of the given answers; 0 to 1.

    An answer's `confidence` is the probability of the likeliest of them, times that, where the bundle's
    `confidence_temperature` is 1.
    """

    label_mass: float


class PredicateAnswer(_Answer):
    type: Literal["predicate"]
    name: str | None
    probability: float
    confidence: float
    diagnostics: Diagnostics


class ChoiceProbability(_Answer):
    value: str | bool
    probability: float


class ChoiceAnswer(_Answer):
    type: Literal["choice"]
    name: str | None
    choice: str | bool
    confidence: float
    probabilities: list[ChoiceProbability]
    diagnostics: Diagnostics


class LevelProbability(_Answer):
    value: int
    label: str
    probability: float


class ScoreAnswer(_Answer):
    """`score` is the mean level, the lowest being 0."""

    type: Literal["score"]
    name: str | None
    score: float
    confidence: float
    probabilities: list[LevelProbability]
    diagnostics: Diagnostics


class Decision(_Answer):
    """OpenAI's shape, with `diagnostics` and a predicate's `confidence` in addition. Answers are in the questions'
    order."""

    object: Literal["decision"]
    model: str
    answers: list[PredicateAnswer | ChoiceAnswer | ScoreAnswer]
    usage: ResponseUsage
