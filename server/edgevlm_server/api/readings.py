"""Requests for readings, as JSON or as a form, and their answers as JSON or CSV. Knows no HTTP and no model.

A request names its fields, or a station that has some; so a client may send a picture and a name, and nothing else.
"""

import csv
import io
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from edgevlm_server.api.ask import File
from edgevlm_server.api.chat import new_head, usage_body
from edgevlm_server.api.field_bodies import Fields
from edgevlm_server.api.fields import MinConfidence
from edgevlm_server.api.messages import MAX_PARTS, ImagePart
from edgevlm_server.api.region import RegionFields
from edgevlm_server.api.stations import STATION_NAME
from edgevlm_server.api.strict import Text, form_number
from edgevlm_server.api.unsupported import ClientFields
from edgevlm_server.readings import field
from edgevlm_server.request import Picture
from edgevlm_server.runtime.output import Usage

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a text that begins so."""
COLUMNS = ("time", "station", "name", "value", "unit", "confidence", "reason")

StationName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=f"^{STATION_NAME}$")]


class Readable(RegionFields, BaseModel):
    """What both ways to ask have. `min_confidence`, and the part of a picture, are for what says none itself."""

    fields: Fields | None = None
    station: StationName | None = None
    min_confidence: MinConfidence | None = None
    model: Text | None = None

    @model_validator(mode="after")
    def _knows_what_to_read(self) -> "Readable":
        if (self.fields is None) == (self.station is None):
            raise PydanticCustomError("fields", "It must hold 'fields' or the name of a 'station', one of them")
        return self

    @property
    def asked(self) -> tuple[field.Field, ...]:
        """Its own fields."""
        return tuple(one.field() for one in self.fields or ())

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """With parts of their own, if they say any. None, if the station has an address."""
        raise NotImplementedError


class ReadingsRequest(Readable, ClientFields):
    """`images` as in a chat, or one `image` as a data URL or an address."""

    image: Annotated[str, StringConstraints(min_length=1)] | None = None
    images: Annotated[list[ImagePart], Field(max_length=MAX_PARTS)] | None = None

    @model_validator(mode="after")
    def _says_it_once(self) -> "ReadingsRequest":
        if self.image is not None and self.images:
            raise PydanticCustomError("images", "It can hold 'image' or 'images', not both")
        return self

    @property
    def pictures(self) -> tuple[Picture, ...]:
        if self.image is not None:
            return (Picture(self.image, place="image"),)
        parts = enumerate(self.images or ())
        return tuple(Picture(part.source, part.uuid, f"images.{index}", part.own_region) for index, part in parts)


class ReadingsForm(Readable):
    """`curl -F image=@part.jpg -F station=press-4`, or with `fields` as JSON in the place of a station."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    fields: Annotated[
        Fields | None,
        Field(examples=[[{"name": "pressure", "question": "What does the gauge read?", "type": "number"}]]),
    ] = None
    min_confidence: Annotated[MinConfidence, BeforeValidator(form_number)] | None = None
    image: Annotated[list[File], Field(max_length=MAX_PARTS - 1)] = []

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(Picture(content, place="image") for content in self.image)


def readings_body(model: str, station: str | None, readings: Sequence[field.Reading], usage: Usage) -> dict[str, Any]:
    """The whole answer as JSON."""
    return {
        **new_head("read", "readings", model),
        "station": station,
        "values": {one.field.name: one.value for one in readings},
        "fields": [reading_body(one) for one in readings],
        "usage": usage_body(usage),
    }


def reading_body(reading: field.Reading) -> dict[str, Any]:
    """What came of one field."""
    return {
        "name": reading.field.name,
        "value": reading.value,
        "unit": reading.field.kind.unit,
        "confidence": round(reading.confidence, 6),
        "raw": reading.raw,
        "reason": reading.reason,
    }


def readings_csv(body: dict[str, Any]) -> str:
    """The same answer as a header and a row for each field, as RFC 4180 has it; no text in it is a formula."""
    time = datetime.fromtimestamp(body["created"], timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = io.StringIO()
    rows = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
    rows.writeheader()
    for one in body["fields"]:
        row = {**one, "time": time, "station": body["station"]}
        rows.writerow({column: _cell(value) for column, value in row.items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = ", ".join(value) if isinstance(value, list) else value
    return f"'{text}" if isinstance(text, str) and text.startswith(_FORMULA) else text
