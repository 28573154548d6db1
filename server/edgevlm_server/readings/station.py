"""A place where the same fields are read again and again. Plain values; knows no file and no wire shape."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgevlm_server.images.region import Region
from edgevlm_server.readings.field import Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """`source` is the address of its picture, for requests that send none; `body` all else, as its file has it.

    `region` is the part of its pictures that is meant, unless a request or a field says another.
    """

    name: str
    fields: tuple[Field, ...]
    source: str | None = None
    region: Region | None = None
    min_confidence: float | None = None
    body: Mapping[str, Any]


def at_least(fields: tuple[Field, ...], *confidences: float | None) -> tuple[Field, ...]:
    """The fields with the first confidence that is given; a field's own comes before all."""
    least = next((one for one in confidences if one is not None), None)
    return tuple(replace(field, min_confidence=least) if field.min_confidence is None else field for field in fields)
