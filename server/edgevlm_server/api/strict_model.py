"""What the models of all requests are made of. Knows how strictly to read, no field of any request."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, Tag
from pydantic_core import PydanticCustomError

MAX_TEXT = 32_768
"""Characters of one text. More cannot fit into the longest context of any MobileVLM, 4096 tokens."""

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]

UNSUPPORTED = "unsupported"
"""The type of an error about a field that is known but not supported; its message says why."""


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


def tag(name: str) -> Tag:
    """Tags begin with a character that no field has, so that they can be left out of an error's path."""
    return Tag(f"~{name}")
