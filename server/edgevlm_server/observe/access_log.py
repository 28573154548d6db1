"""The access log: a line for each answer. Knows the words of ASGI, no route."""

import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)

QUIET = ("/health", "/ready", "/metrics")
"""Asked all day long by supervisors: in the log only with `--log-level debug`."""


def log_answer(scope: Mapping[str, Any], status: int, seconds: float, request_id: str) -> None:
    """`scope` is the request's, as ASGI has it; status 0 is an answer that never began."""
    level = logging.DEBUG if scope["path"] in QUIET else logging.INFO
    log.log(
        level,
        "%s %s %d %.3f s client=%s id=%s",
        scope["method"],
        _shown(scope["path"]),
        status,
        seconds,
        _shown(_client(scope)),
        request_id,
    )


def _client(scope: Mapping[str, Any]) -> str:
    """The name that belongs to the key, else the address."""
    name = scope.get("state", {}).get("client")
    address = scope.get("client")
    return str(name or (address[0] if address else "-"))


def _shown(text: str) -> str:
    """A text for the log: one line of plain characters, whatever was sent."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text[:120])
