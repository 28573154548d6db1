"""OpenAI's responses: the request, as far as this server acts on it, and its answers, whole or as typed events.

Nothing is kept between two requests: what would need that is refused. Knows no HTTP.
"""

import json
import time
import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from edgevlm_server.api.chat import Body, logprob_entries
from edgevlm_server.api.fields import Count, MinConfidence, SamplingFields, TopLogprobs, sureness
from edgevlm_server.api.guided import TextFormat, filled, wanted_format
from edgevlm_server.api.input_items import Input, conversation
from edgevlm_server.api.strict import PromptText, StrictModel
from edgevlm_server.api.unsupported import NO_REASONING, NOTHING, NOTHING_KEPT, Effort, Hint, ToolFields, Unsupported
from edgevlm_server.errors import ApiError
from edgevlm_server.request import Generation, Request, Structure, Turn
from edgevlm_server.runtime.output import Output, Usage, joined
from edgevlm_server.runtime.written import Written
from edgevlm_server.text.tokenizer import Tokenizer


class TextOptions(StrictModel):
    format: TextFormat | None = None
    verbosity: Hint = None

    def structure(self) -> Structure | None:
        """The form that is asked for. Raises `InvalidRequest` for one that cannot be followed."""
        return next((wanted.structure() for wanted in wanted_format(self.format, "text.format")), None)


class Reasoning(StrictModel):
    """Without any reasoning there is nothing to summarise."""

    effort: Effort = None
    mode: Annotated[Any, Unsupported(NO_REASONING, (*NOTHING, "standard"))] = None
    summary: Hint = None
    generate_summary: Hint = None
    context: Hint = None


Included = Literal[
    "message.output_text.logprobs",
    # about tools, reasoning and files, of which an answer here has none
    "reasoning.encrypted_content",
    "message.input_image.image_url",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
]


Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(max_length=64)],
        Annotated[str, StringConstraints(max_length=512)] | None,
    ],
    Field(max_length=16),
]
"""With OpenAI's bounds."""


class ResponsesRequest(SamplingFields, ToolFields):
    """`metadata` comes back in the answer."""

    input: Input
    instructions: PromptText | None = None
    max_output_tokens: Count | None = None
    text: TextOptions | None = None
    include: list[Included] | None = None
    top_logprobs: TopLogprobs | None = None
    min_confidence: MinConfidence | None = None
    metadata: Metadata | None = None

    reasoning: Reasoning | None = None
    stream_options: Hint = None
    truncation: Hint = None
    context_management: Hint = None
    max_tool_calls: Hint = None
    image: Hint = None
    background_options: Hint = None
    access_programs: Hint = None
    personality: Hint = None
    background: Annotated[Any, Unsupported("A response is there when it is asked for, or streamed")] = None
    previous_response_id: Annotated[Any, Unsupported(NOTHING_KEPT)] = None
    conversation: Annotated[Any, Unsupported(NOTHING_KEPT)] = None
    prompt: Annotated[
        Any, Unsupported("This server keeps no prompts; send its text in 'instructions' or 'input'")
    ] = None
    moderation: Annotated[Any, Unsupported("Nothing is moderated here")] = None
    response_format: Annotated[Any, Unsupported("In this API the answer's form is 'text.format'")] = None

    @property
    def wants_logprobs(self) -> bool:
        return "message.output_text.logprobs" in (self.include or ())

    def request(self) -> Request:
        return Request(
            place="input",
            model=self.model,
            turns=self._turns,
            generation=Generation(
                sampling=self.sampling(),
                max_tokens=self.max_output_tokens,
                logprobs=(self.top_logprobs or 0) if self.wants_logprobs else None,
                structure=None if self.text is None else self.text.structure(),
                fill=None if self.text is None else filled(self.text.format, "text.format"),
                min_confidence=self.min_confidence,
            ),
            stream=bool(self.stream),
        )

    @property
    def _turns(self) -> tuple[Turn, ...]:
        """The instructions, if there are any, and the input."""
        if self.instructions is None:
            return conversation(self.input)
        return (Turn("system", (self.instructions,), "instructions"), *conversation(self.input))

    def writer(self, model: str, tokenizer: Tokenizer) -> "ResponsesWriter":
        # what is repeated in the answer, without the pictures
        return ResponsesWriter(self.model_copy(update={"input": ""}), model, tokenizer)


class ResponsesWriter:
    """One response; its events are numbered, and its text is gathered for the events that repeat all of it."""

    def __init__(self, asked: ResponsesRequest, model: str, tokenizer: Tokenizer) -> None:
        self._asked = asked
        self._model = model
        self._tokenizer = tokenizer
        self._id = f"resp_{uuid.uuid4().hex}"
        self._item = f"msg_{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._with_logprobs = asked.wants_logprobs
        self._number = 0
        self._pieces: list[Output] = []
        self._answer = Output("")
        """All of it, once it is over."""
        self._placed = False
        """Clients know where its text, or a refusal, will stand."""

    def whole(self, answers: Sequence[Output], usage: Usage) -> Body:
        [self._answer] = answers
        return self._response(self._status, usage)

    def begin(self, index: int, usage: Usage) -> str:
        """That there is a response, and that it will be a message."""
        begun = self._response("in_progress", None)
        item = {**self._message("in_progress"), "content": []}
        return (
            self._event("response.created", response=begun)
            + self._event("response.in_progress", response=begun)
            + self._event("response.output_item.added", output_index=0, item=item)
        )

    def piece(self, index: int, output: Output, usage: Usage) -> str:
        """A piece of text, or what stands in its place."""
        placed = (
            "" if self._placed else self._event("response.content_part.added", **self._place, part=_empty(output))
        )
        self._placed = True
        self._pieces.append(output)
        if output.refusal:
            return placed + self._event("response.refusal.delta", **self._place, delta=output.refusal)
        if not output.text:
            return placed
        tokens = self._logprobs(output.tokens)
        return placed + self._event("response.output_text.delta", **self._place, delta=output.text, logprobs=tokens)

    def end(self, usage: Usage) -> str:
        """All of the text once more, and the whole response."""
        self._answer = joined(self._pieces)
        whole = self._response(self._status, usage)
        return (
            self._done()
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
        return "incomplete" if self._answer.finish_reason == "length" else "completed"

    @property
    def _place(self) -> Body:
        return {"item_id": self._item, "output_index": 0, "content_index": 0}

    def _done(self) -> str:
        if self._answer.refusal:
            return self._event("response.refusal.done", **self._place, refusal=self._answer.refusal)
        tokens = self._logprobs(self._answer.tokens)
        return self._event("response.output_text.done", **self._place, text=self._answer.text, logprobs=tokens)

    def _part(self) -> Body:
        if self._answer.refusal:
            return {"type": "refusal", "refusal": self._answer.refusal}
        return {**_empty(self._answer), "text": self._answer.text, "logprobs": self._logprobs(self._answer.tokens)}

    def _message(self, status: str) -> Body:
        return {
            "type": "message",
            "id": self._item,
            "status": status,
            "role": "assistant",
            "content": [self._part()],
            **(sureness(self._answer) if status in ("completed", "incomplete") else {}),
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
            "metadata": {key: value for key, value in (asked.metadata or {}).items() if value is not None},
            "model": self._model,
            "output": [self._message(status)] if over else [],
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "store": False,
            "temperature": asked.temperature or 0.0,
            "text": {"format": _text_format(asked)},
            "tool_choice": "none",
            "tools": [],
            "top_p": 1.0 if asked.top_p is None else asked.top_p,
            "truncation": "disabled",
            "usage": None if usage is None else usage_body(usage),
        }

    def _logprobs(self, tokens: Sequence[Written]) -> list[Body]:
        return logprob_entries(tokens, self._tokenizer) if self._with_logprobs else []

    def _event(self, kind: str, **fields: Any) -> str:
        body = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return f"event: {kind}\ndata: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"


def _empty(answer: Output) -> Body:
    """The part of an answer before its text."""
    if answer.refusal:
        return {"type": "refusal", "refusal": ""}
    return {"type": "output_text", "text": "", "annotations": [], "logprobs": []}


def _text_format(asked: ResponsesRequest) -> Body:
    if asked.text is None or asked.text.format is None:
        return {"type": "text"}
    return asked.text.format.model_dump(by_alias=True)


def usage_body(usage: Usage) -> Body:
    """Tokens in and out, as OpenAI's newer routes report them."""
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt + usage.completion,
    }
