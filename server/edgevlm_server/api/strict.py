"""How strictly all requests are read, and what an error about one says. Knows no field of any request."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, StringConstraints, Tag, ValidationError
from pydantic_core import PydanticCustomError

from edgevlm_server.errors import InvalidRequest
from edgevlm_server.request import MAX_TEXT

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]

UNSUPPORTED = "unsupported"
"""The type of an error about a field that is known but not supported; its message says why."""

Model = TypeVar("Model", bound=BaseModel)


class StrictModel(BaseModel):
    """Takes the fields that it names, in the types that it names, and no others."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def _boolean(value: Any) -> Any:
    if not isinstance(value, bool | None):
        raise PydanticCustomError("bool_type", "Input should be a valid boolean")
    return value


# Python's 0 and 1 equal its False and True, JSON's do not
No = Annotated[Literal[False], BeforeValidator(_boolean)]
Yes = Annotated[Literal[True], BeforeValidator(_boolean)]
"""Fields that only one of the two is supported for."""


def no_tools(value: Any) -> Any:
    """What old and new clients send when there are no tools, and nothing else."""
    if value not in (None, [], "none"):
        raise PydanticCustomError(UNSUPPORTED, "MobileVLM models cannot call tools")
    return value


def tag(name: str) -> Tag:
    """Tags begin with a character that no field has, so that they can be left out of an error's path."""
    return Tag(f"~{name}")


def text_or(other: str) -> Discriminator:
    """A text has the tag `text`, everything else the `other`."""
    return Discriminator(lambda value: "~text" if isinstance(value, str) else f"~{other}")


def by_type(tags: Mapping[str, str], message: str) -> Discriminator:
    """An object has the tag of its `type`; `message` is the error for all others."""

    def tag_of(value: Any) -> str | None:
        kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
        # a list or an object cannot be looked up
        return f"~{tags[kind]}" if isinstance(kind, str) and kind in tags else None

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
    message = first["msg"] if first["type"] != "string_unicode" else "Text must be valid Unicode"
    return InvalidRequest(f"{path or 'The body'}: {message}.", code="invalid_value", param=path)


def _path(location: tuple[int | str, ...]) -> str | None:
    """Where an error is, as `messages.0.content`. Keys that the client chose are repeated only if they look sane."""
    path = ".".join(str(part) for part in location if not str(part).startswith("~"))
    return path if re.fullmatch(r"[A-Za-z0-9_.]{1,120}", path) else None
