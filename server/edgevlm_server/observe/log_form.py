"""How messages are written, one a line: as text for people, or as JSON for what collects them. Knows no message.

A message may bring `fields` of its own along, which come behind it in text and beside it in JSON. Lines of libraries
look like our own, and the name of this program comes first in every logger's: `edgevlm` finds them all.
"""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

PROGRAM = "edgevlm"

JSON = json.JSONEncoder(default=str)


class TextForm(logging.Formatter):
    """The time with its zone, then level, logger and message; a traceback follows in lines of its own."""

    def __init__(self) -> None:
        super().__init__("%(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        words = (local_time(record.created), record.levelname, f"{_name(record)}:", record.message)
        return " ".join((*words, *(f"{name}={value}" for name, value in _fields(record).items())))


class JsonForm(logging.Formatter):
    """One object a line: `time`, `level`, `logger`, `message`, the fields, and `exception` for a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        made = {
            "time": local_time(record.created),
            "level": record.levelname,
            "logger": _name(record),
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            made["exception"] = self.formatException(record.exc_info)
        return JSON.encode(made)


FORMS: Mapping[str, Callable[[], logging.Formatter]] = {"text": TextForm, "json": JsonForm}


def local_time(seconds: float) -> str:
    """Unix time in ISO 8601: local time, milliseconds, and the zone's distance from UTC."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="milliseconds")


def _name(record: logging.LogRecord) -> str:
    return record.name if record.name.startswith(PROGRAM) else f"{PROGRAM}.{record.name}"


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = getattr(record, "fields", {})
    return fields
