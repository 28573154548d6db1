"""A station's file, and what clients are shown of it. Knows fields and bounds, no folder and no HTTP."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from edgevlm_server.api.field_bodies import Fields
from edgevlm_server.api.fields import MinConfidence
from edgevlm_server.api.region import RegionFields
from edgevlm_server.api.strict import StrictModel, Text, invalid
from edgevlm_server.guided.grammar import GrammarError, or_refusal
from edgevlm_server.guided.syntax import compiled
from edgevlm_server.readings.station import Station
from edgevlm_server.refusals import NOT_SURE

STATION_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?"


class StationFile(RegionFields, StrictModel):
    """`source`: the address of its picture, for requests that send none; its host must be one of `--image-hosts`."""

    source: Text | None = None
    min_confidence: MinConfidence | None = None
    fields: Fields

    def station(self, name: str) -> Station:
        """In the server's terms."""
        return Station(
            name=name,
            fields=tuple(field.field() for field in self.fields),
            source=self.source,
            min_confidence=self.min_confidence,
            region=self.own_region,
            body=self.model_dump(exclude={"source"}, exclude_none=True),
        )


class StationFault(Exception):
    """A file describes no station; what is wrong, to stand behind a colon."""


def parse_station(name: str, content: bytes) -> Station:
    """Raises `StationFault`."""
    try:
        body = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_each_once)
        station = StationFile.model_validate(body).station(name)
    except ValidationError as error:
        raise StationFault(invalid(error).message) from None
    except (ValueError, RecursionError):
        raise StationFault("It is not valid JSON in UTF-8.") from None
    for index, field in enumerate(station.fields):
        try:
            compiled(or_refusal(field.kind.form(), NOT_SURE))
        except GrammarError as error:
            raise StationFault(f"fields.{index}: {error}") from None
    return station


def _each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise StationFault(f"'{twice}' is said twice.")
    return body


def shown(station: Station) -> dict[str, Any]:
    """What clients may know of it: an address may hold what is not for them."""
    return {"name": station.name, "has_source": station.source is not None, **station.body}
