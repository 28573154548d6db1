"""How strictly all requests are read, and what an error about one says. Knows no field of any request.

In all of them null equals absent, at every depth, for known fields and for others: many clients write all that they
know of, null where there is nothing. Only values that are the client's own, such as a schema, keep their nulls.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, StringConstraints, Tag, ValidationError, model_validator

from edgevlm_server.errors import InvalidRequest
from edgevlm_server.request import MAX_TEXT

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
# without any constraint pydantic does not look whether it is valid Unicode
PromptText = Annotated[str, StringConstraints(min_length=0)]
"""Bounded where the whole prompt is, which is told in the words for a prompt that is too long."""

UNSUPPORTED = "unsupported"
"""The type of an error about a field that is known but not supported; its message says why."""

_WORDS = {
    "string_unicode": "Text must be valid Unicode",
    "model_type": "It must be an object",
    "model_attributes_type": "It must be an object",
    "dict_type": "It must be an object",
    "list_type": "It must be a list",
}
"""In the place of pydantic's, which speak of Python."""

Model = TypeVar("Model", bound=BaseModel)


class StrictModel(BaseModel):
    """Takes the fields that it names, in the types that it names, and no others."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        json_schema_extra={"additionalProperties": {"type": "null"}},
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        # an error about a null where a value is needed says which values there are
        needed = _needed(cls)
        return {name: value for name, value in data.items() if value is not None or name in needed}


@cache
def _needed(model: type[BaseModel]) -> frozenset[str]:
    """Names of the fields that a request must have, as it writes them."""
    return frozenset(field.alias or name for name, field in model.model_fields.items() if field.is_required())


def form_number(value: Any) -> Any:
    """A form's text that is a number."""
    try:
        return float(value)
    except ValueError:
        return value


def tag(name: str) -> Tag:
    """Tags begin with a character that no field has, so that they can be left out of an error's path."""
    return Tag(f"~{name}")


def text_or_list(message: str) -> Discriminator:
    """A text has the tag `text`, a list the tag `list`; `message` is the error for all others."""

    def tag_of(value: Any) -> str | None:
        return "~text" if isinstance(value, str) else "~list" if isinstance(value, list) else None

    return Discriminator(tag_of, custom_error_type="type", custom_error_message=message)


def by_type(tags: Mapping[str | None, str], message: str) -> Discriminator:
    """An object has the tag of its `type`, `None` if it has none; `message` is the error for all others."""

    def tag_of(value: Any) -> str | None:
        kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", "")
        # a list or an object cannot be looked up
        return f"~{tags[kind]}" if isinstance(kind, str | None) and kind in tags else None

    return Discriminator(tag_of, custom_error_type="type", custom_error_message=message)


def invalid(error: ValidationError) -> InvalidRequest:
    """The first mistake: what is expected where, and never what was sent."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = _path(first["loc"])
    if first["type"] == "extra_forbidden":
        text = "A parameter is not supported." if path is None else f"'{path}' is not supported."
        return InvalidRequest(text, code="unsupported_parameter", param=path)
    if first["type"] == UNSUPPORTED:
        text = f"'{path}' is not supported: {first['msg']}."
        return InvalidRequest(text, code="unsupported_parameter", param=path)
    message = _WORDS.get(first["type"], first["msg"])
    return InvalidRequest(f"{path or 'The body'}: {message}.", code="invalid_value", param=path)


def _path(location: tuple[int | str, ...]) -> str | None:
    """Where an error is, as `messages.0.content`. Keys that the client chose are repeated only if they look sane."""
    path = ".".join(str(part) for part in location if not str(part).startswith("~"))
    return path if re.fullmatch(r"[A-Za-z0-9_.]{1,120}", path) else None
