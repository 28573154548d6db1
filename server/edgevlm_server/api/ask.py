"""A question sent as a form: its fields, and the chat request that they stand for. Knows no HTTP and no model."""

import base64
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from edgevlm_server.api.chat import MAX_PARTS, ChatRequest
from edgevlm_server.api.fields import Count
from edgevlm_server.api.strict_model import Text
from edgevlm_server.errors import InvalidRequest
from edgevlm_server.http.form_body import FormField, text_of

File = Annotated[bytes, Field(json_schema_extra={"format": "binary"})]


class AskForm(BaseModel):
    """`curl -F image=@part.jpg -F 'question=Which lamp is on?'`: for everything else there is the chat route."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    question: Text
    image: Annotated[list[File], Field(max_length=MAX_PARTS - 1)] = []
    system: Text | None = None
    max_tokens: Count | None = None
    model: Text | None = None

    @property
    def places(self) -> list[str]:
        """Where a chat request's contents stand in the form."""
        return ["image"] if self.system is None else ["system", "image"]

    def chat(self) -> ChatRequest:
        """The same question as a chat request."""
        pictures = [
            {"type": "image_url", "image_url": base64.b64encode(content).decode("ascii")} for content in self.image
        ]
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        user = {"role": "user", "content": [*pictures, {"type": "text", "text": self.question}]}
        fields = {"messages": [*system, user], "max_tokens": self.max_tokens, "model": self.model}
        return ChatRequest.model_validate(fields)


def form_values(fields: list[FormField]) -> dict[str, Any]:
    """Values as `AskForm` takes them. Raises `InvalidRequest` for a field that is there twice."""
    values: dict[str, Any] = {"image": [field.content for field in fields if field.name == "image"]}
    for field in fields:
        if field.name == "image":
            continue
        if field.name in values:
            raise InvalidRequest("A field other than 'image' is there twice.", code="invalid_form")
        values[field.name] = _value(field)
    return values


def _value(field: FormField) -> str | int:
    text = text_of(field)
    # `0x10`, `1_000` and the like stay texts, which are no numbers for the model
    return (
        int(text) if field.name == "max_tokens" and text.isascii() and text.isdecimal() and len(text) < 10 else text
    )
