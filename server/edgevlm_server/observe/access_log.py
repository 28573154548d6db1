"""The access log: a line for each request that is over. Knows records, no ASGI and no route."""

import logging
from typing import Any

from edgevlm_server.observe.record import RequestRecord, plain, rounded

log = logging.getLogger("edgevlm.access")


def log_request(record: RequestRecord) -> None:
    """The line's fields go along as `fields`: what nothing is known of is left out."""
    # `--log-level debug` shows those, too
    level = logging.DEBUG if record.quiet else logging.INFO
    if log.isEnabledFor(level):
        text = "%s %s %d %s %.3f s"
        words = (record.method, plain(record.path), record.status, record.outcome, record.seconds)
        # made here, because `log.log` would first look through the stack for the line that calls it
        extra = {"fields": fields(record)}
        log.handle(log.makeRecord(log.name, level, __file__, 0, text, words, None, extra=extra))


def fields(record: RequestRecord) -> dict[str, Any]:
    """All that is known of a request, by short names: texts, numbers, and the seconds that each stage took."""
    known: dict[str, Any] = {
        "id": record.id,
        "client": record.client,
        "address": record.address,
        "method": plain(record.method),
        "path": plain(record.path),
        "route": record.route,
        "status": record.status,
        "outcome": record.outcome,
        "code": record.code,
        "model": record.model,
        "stream": record.stream or None,
        "received_bytes": record.received,
        "sent_bytes": record.sent,
        "seconds": round(record.seconds, 6),
    }
    if record.answers:
        known |= {"pictures": record.pictures, "answers": record.answers}
        known |= {"prompt_tokens": record.prompt, "cached_tokens": record.cached, "tokens": record.completion}
        known |= {"confidence": rounded(record.confidence), "refused": record.refused}
    known |= {f"{one.stage}_seconds": round(one.seconds, 6) for one in record.passed}
    return {name: value for name, value in known.items() if value is not None}
