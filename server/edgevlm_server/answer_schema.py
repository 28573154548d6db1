"""The bodies that this server answers with, one class a shape, for its OpenAPI document. Knows fields, no values.

Small answers are made from these classes; those of generating routes are written by the formats, key by key, and
tests hold the two together.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


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
    """vLLM's shape."""

    version: str


class ModelCard(_Answer):
    """OpenAI's shape, with vLLM's `max_model_len`: positions of one prompt with its answer."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["edgevlm"] = "edgevlm"
    max_model_len: int


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


class ChatMessage(BaseModel):
    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(BaseModel):
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
