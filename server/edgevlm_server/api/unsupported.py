"""Fields that this server knows and does not act on: accepted all the same, or refused with a reason.

One rule decides: a request is refused only where the answer without the feature would be wrong or would mislead the
client. What asks for nothing, is a hint, or offers what may be declined is accepted. The page for users is made of
what stands here and in the routes' own fields.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from edgevlm_server.api.strict import UNSUPPORTED, StrictModel

NOTHING: tuple[Any, ...] = (None, False, "", [], {})
"""Values that ask for nothing in most fields."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Any value is accepted and forgotten."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(lambda value: None)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"description": "Accepted, without effect."}


# types need a hash, and lists have none: each is equal to itself alone
@dataclass(frozen=True, slots=True, eq=False)
class Unsupported:
    """Only values that ask for nothing are accepted."""

    reason: str
    nothing: tuple[Any, ...] = NOTHING

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"enum": [*self.nothing], "description": f"{self.reason}."}

    def _check(self, value: Any) -> None:
        # types count: Python's 0 and 1 equal its False and True, JSON's do not
        if not any(type(value) is type(one) and value == one for one in self.nothing):
            raise PydanticCustomError(UNSUPPORTED, "{reason}", {"reason": self.reason})


Hint = Annotated[Any, Ignored()]

NO_TOOLS = "MobileVLM models cannot call tools"
CALLS_NOTHING = (*NOTHING, "auto", "none")
NO_SPECIAL_TOKENS = "Special tokens have no text here"
NOTHING_KEPT = "This server keeps nothing between requests; send the earlier messages themselves"
OPEN_TURN = "The template ends in the assistant's open turn"
NO_REASONING = "MobileVLM models do not reason first"
NO_FILES = "This server keeps no files; send the picture itself"


def _mode(value: Any) -> Any:
    """A choice among allowed tools binds as its mode does; the two APIs nest it differently."""
    if isinstance(value, dict) and value.get("type") == "allowed_tools":
        inner = value.get("allowed_tools")
        return inner.get("mode") if isinstance(inner, dict) else value.get("mode")
    return value


Effort = Annotated[Any, Unsupported(NO_REASONING, (*NOTHING, "none", "minimal", "low"))]
"""A low effort is a hint; a high one counts on an answer that was thought over."""
Call = Annotated[
    Any,
    Unsupported(
        f"{NO_TOOLS}; for an answer of a given form there are 'response_format' and 'text.format'", CALLS_NOTHING
    ),
    BeforeValidator(_mode),
]


class ClientFields(StrictModel):
    """Who asks and for what books, and how the request should be treated on its way."""

    user: Hint = None
    safety_identifier: Hint = None
    prompt_cache_key: Hint = None
    prompt_cache_retention: Hint = None
    prompt_cache_options: Hint = None
    service_tier: Hint = None
    store: Hint = None
    priority: Hint = None
    request_id: Hint = None
    cache_prompt: Hint = None
    keep_alive: Hint = None


class ToolFields(StrictModel):
    """Tools may be offered: the model calls none. A call that is demanded is refused."""

    tools: Hint = None
    tool_choice: Call = None
    parallel_tool_calls: Hint = None


class OtherServersFields(StrictModel):
    """What vLLM and its like have beside OpenAI's fields, as their clients send it by default."""

    stop_token_ids: Annotated[
        Any, Unsupported("An answer ends at the model's own end token or at a text in 'stop'")
    ] = None
    include_stop_str_in_output: Annotated[Any, Unsupported("A stop text is no part of the answer")] = None
    skip_special_tokens: Annotated[Any, Unsupported(NO_SPECIAL_TOKENS, (None, True))] = None
    spaces_between_special_tokens: Annotated[Any, Unsupported(NO_SPECIAL_TOKENS, (None, True))] = None
    use_beam_search: Annotated[Any, Unsupported("There is no beam search")] = None
    best_of: Annotated[Any, Unsupported("As many answers are drawn as 'n' asks for", (None, 1))] = None
    length_penalty: Annotated[Any, Unsupported("There is no beam search", (None, 1))] = None
    prompt_logprobs: Annotated[Any, Unsupported("Only the answer's tokens have probabilities")] = None
    truncate_prompt_tokens: Annotated[Any, Unsupported("A prompt is never cut")] = None
    allowed_token_ids: Annotated[Any, Unsupported("Use 'logit_bias', or a form for the answer")] = None
    bad_words: Annotated[Any, Unsupported("Use 'logit_bias', or a form for the answer")] = None
