"""What the models of all requests are made of. Knows how strictly to read, no field of any request."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, Tag

MAX_TEXT = 32_768
"""Characters of one text. More cannot fit into the longest context of any MobileVLM, 4096 tokens."""

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]

UNSUPPORTED = "unsupported"
"""The type of an error about a field that is known but not supported; its message says why."""


class StrictModel(BaseModel):
    """Takes the fields that it names, in the types that it names, and no others."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def tag(name: str) -> Tag:
    """Tags begin with a character that no field has, so that they can be left out of an error's path."""
    return Tag(f"~{name}")
