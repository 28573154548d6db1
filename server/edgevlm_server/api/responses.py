"""A request of OpenAI's responses route, as far as this server acts on it. Knows fields and bounds, nothing else.

It asks for the same as a chat request in other words, so it becomes one. Nothing is kept between two requests: what
would need that is refused.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field

from edgevlm_server.api.chat import ChatRequest, Message, no_tools
from edgevlm_server.api.fields import MAX_LOGPROBS, Count
from edgevlm_server.api.input_items import Input, messages_of, places_of
from edgevlm_server.api.strict_model import No, StrictModel, Text, tag

LOGPROBS = "message.output_text.logprobs"


class AnyText(StrictModel):
    type: Literal["text"]


class AnyJson(StrictModel):
    """A JSON object, whatever is in it."""

    type: Literal["json_object"]


class SchemaJson(StrictModel):
    """JSON that a schema allows; with `strict` or without, it is always followed."""

    type: Literal["json_schema"]
    name: Text
    definition: dict[str, Any] = Field(alias="schema")
    description: Text | None = None
    strict: bool | None = None


def _format_type(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"~{kind}" if kind in ("text", "json_object", "json_schema") else None


class TextOptions(StrictModel):
    format: (
        Annotated[
            Annotated[AnyText, tag("text")]
            | Annotated[AnyJson, tag("json_object")]
            | Annotated[SchemaJson, tag("json_schema")],
            Discriminator(
                _format_type,
                custom_error_type="text_format",
                custom_error_message="It must have the type 'text', 'json_object' or 'json_schema'",
            ),
        ]
        | None
    ) = None

    def chat(self) -> dict[str, Any] | None:
        """The chat route's `response_format`."""
        if not isinstance(self.format, SchemaJson):
            return None if self.format is None else {"type": self.format.type}
        found = self.format
        return {"type": "json_schema", "json_schema": {"name": found.name, "schema": found.definition}}


class ResponsesRequest(StrictModel):
    """`temperature` defaults to 0, as in the chat route; so do vLLM's fields beside OpenAI's."""

    input: Input
    model: Text | None = None
    instructions: Text | None = None
    max_output_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    text: TextOptions | None = None
    include: list[Literal["message.output_text.logprobs"]] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    stream: bool | None = None

    # who asks, for the client's own books: `metadata` comes back, the others have no effect
    user: Text | None = None
    metadata: dict[str, str] | None = None
    safety_identifier: Text | None = None
    prompt_cache_key: Text | None = None
    service_tier: Literal["auto", "default"] | None = None

    # nothing is kept, shortened or called here: only what asks for none of it is taken
    store: No | None = None
    background: No | None = None
    previous_response_id: None = None
    truncation: Literal["disabled"] | None = None
    tools: Annotated[list[Any], AfterValidator(no_tools)] | None = None
    tool_choice: Annotated[Any, AfterValidator(no_tools)] = None
    parallel_tool_calls: bool | None = None

    @property
    def messages(self) -> list[Message]:
        """The instructions, if there are any, and the input."""
        before = [] if self.instructions is None else [Message(role="system", content=self.instructions)]
        return before + messages_of(self.input)

    @property
    def places(self) -> list[str]:
        """Where the content of each message stands in the request."""
        before = [] if self.instructions is None else ["instructions"]
        return before + places_of(self.input)

    def without_input(self) -> "ResponsesRequest":
        """What is repeated in the response, without the pictures."""
        return self.model_copy(update={"input": ""})

    def chat(self) -> ChatRequest:
        """The same request in the chat route's words."""
        wants_logprobs = LOGPROBS in (self.include or ())
        fields = {
            "messages": self.messages,
            "model": self.model,
            "max_completion_tokens": self.max_output_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "seed": self.seed,
            "response_format": None if self.text is None else self.text.chat(),
            "logprobs": wants_logprobs,
            "top_logprobs": self.top_logprobs if wants_logprobs else None,
            "stream": self.stream,
        }
        return ChatRequest.model_validate(fields)
