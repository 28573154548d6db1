"""A question sent as a form: its fields, and its answer as text or as a small JSON object. Knows no HTTP."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from edgevlm_server.api.chat import usage_body
from edgevlm_server.api.fields import Count, MinConfidence, sureness, sureness_headers
from edgevlm_server.api.messages import MAX_PARTS
from edgevlm_server.api.region import RegionFields
from edgevlm_server.api.strict import PromptText, Text, form_number
from edgevlm_server.errors import NotSure
from edgevlm_server.request import Generation, Picture, Request, Turn
from edgevlm_server.runtime.output import Output, Usage
from edgevlm_server.text.tokenizer import Tokenizer

File = Annotated[bytes, Field(json_schema_extra={"format": "binary"})]


class AskForm(RegionFields, BaseModel):
    """`curl -F image=@part.jpg -F 'question=Which lamp is on?'`: for everything else there is the chat route.

    A part is that of every picture.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    question: Annotated[PromptText, Field(examples=["What does the gauge read?"])]
    image: Annotated[list[File], Field(max_length=MAX_PARTS - 1)] = []
    system: PromptText | None = None
    max_tokens: Count | None = None
    min_confidence: Annotated[MinConfidence, BeforeValidator(form_number)] | None = None
    model: Text | None = None

    def request(self) -> Request:
        pictures = tuple(Picture(content, place="image", region=self.region) for content in self.image)
        system = () if self.system is None else (Turn("system", (self.system,), "system"),)
        return Request(
            place="question",
            model=self.model,
            turns=(*system, Turn("user", (*pictures, self.question), "image")),
            generation=Generation(max_tokens=self.max_tokens, min_confidence=self.min_confidence),
        )

    def writer(self, model: str, tokenizer: Tokenizer) -> "TextWriter":
        return TextWriter()


class JsonAskForm(AskForm):
    """The same, from a client that would rather have JSON."""

    def writer(self, model: str, tokenizer: Tokenizer) -> "TextWriter":
        return JsonWriter(model)


class TextWriter:
    """The answer alone."""

    def whole(self, answers: Sequence[Output], usage: Usage) -> dict[str, Any] | str:
        """With a line break, as a terminal wants it. Raises `NotSure`: a form has no other place for a refusal."""
        [answer] = answers
        if answer.refusal:
            raise NotSure(answer.refusal, sureness_headers(answers))
        return self._body(answer, usage)

    def _body(self, answer: Output, usage: Usage) -> dict[str, Any] | str:
        return f"{answer.text}\n"


class JsonWriter(TextWriter):
    """The answer with what belongs to it."""

    def __init__(self, model: str) -> None:
        self._model = model

    def _body(self, answer: Output, usage: Usage) -> dict[str, Any] | str:
        return {
            "answer": answer.text,
            "finish_reason": answer.finish_reason,
            **sureness(answer),
            "model": self._model,
            "usage": usage_body(usage),
        }
