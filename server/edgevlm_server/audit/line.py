"""A request that is over as one line of the audit. Knows records and exchanges, no files."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from edgevlm_server.observe.exchange import Exchange, Seen
from edgevlm_server.observe.log_form import local_time
from edgevlm_server.observe.record import RequestRecord

JSON = json.JSONEncoder(separators=(",", ":"))
ROW_BYTES = 2048
"""What a line takes at most beside its texts."""


class Line(NamedTuple):
    """A request that is over, to be written down."""

    record: RequestRecord
    exchange: Exchange

    @property
    def size(self) -> int:
        """Bytes of memory, at most."""
        return ROW_BYTES + self.exchange.size


class PictureFile(NamedTuple):
    """A picture to be kept."""

    seen: Seen
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)


def line_of(line: Line, kept: Mapping[str, bool] | None) -> bytes:
    """One JSON object and a line feed; `kept` says of each digest whether its picture is stored, if any are."""
    record, exchange = line
    return encoded(
        {
            "time": local_time(record.time),
            "id": record.id,
            "client": record.client,
            "address": record.address,
            "route": record.route,
            "model": record.model,
            "question": exchange.question,
            "system": exchange.system,
            "answers": exchange.answers,
            "pictures": [_picture(one, kept) for _, one in sorted(exchange.pictures.items())],
            "status": record.status,
            "outcome": record.outcome,
            "code": record.code,
            "seconds": round(record.seconds, 3),
        }
    )


def encoded(body: Mapping[str, Any]) -> bytes:
    """Plain characters alone, so that no text of a client ends a line or is no UTF-8."""
    return JSON.encode(body).encode("ascii") + b"\n"


def _picture(seen: Seen, kept: Mapping[str, bool] | None) -> dict[str, Any]:
    body: dict[str, Any] = {"sha256": seen.sha256, "size": seen.size, "format": seen.format, "region": seen.region}
    return body if kept is None else {**body, "kept": kept.get(seen.sha256, False)}
