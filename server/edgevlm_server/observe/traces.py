"""Traces: of each request a span, and in it one for each stage, made of its record when it is over. Knows records.

Nothing is imported, and nothing done, unless there is somewhere to send them. A client's `traceparent` is continued,
and its decision whether to trace with it.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgevlm_server.observe.record import Reader, RequestRecord, plain, rounded
from edgevlm_server.settings import SettingsError
from edgevlm_server.version import version

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

EXPORT_SECONDS = 5.0
"""How long a collector may take for what it is sent; what it does not take in time is lost."""


@contextmanager
def traced(endpoint: str | None) -> Iterator[tuple[Reader, ...]]:
    """A reader that sends traces there until the block ends; none without an address.

    Raises `SettingsError` where the libraries are not installed.
    """
    if endpoint is None:
        yield ()
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingsError("--otlp-endpoint needs an extra: pip install 'edgevlm[otel]'.") from None
    # of each batch that cannot be sent one line, without those about trying again
    logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)
    resource = Resource.create({"service.name": "edgevlm", "service.version": version()})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS)))
    try:
        yield (_reader(provider.get_tracer("edgevlm", version())),)
    finally:
        provider.shutdown()


def _reader(tracer: "Tracer") -> Reader:
    from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    propagator = TraceContextTextMapPropagator()

    def read(record: RequestRecord) -> None:
        if record.quiet:
            return
        clock = record.time - record.arrived

        def moment(monotonic: float) -> int:
            return round((clock + monotonic) * 1e9)

        span = tracer.start_span(
            f"{record.method} {record.route}" if record.route else record.method,
            propagator.extract({"traceparent": record.traceparent or ""}),
            SpanKind.SERVER,
            _attributes(record),
            start_time=moment(record.arrived),
        )
        inside = set_span_in_context(span)
        for stage in record.passed:
            part = tracer.start_span(stage.stage, inside, start_time=moment(stage.began))
            part.end(moment(stage.ended))
        if record.outcome == "failed":
            span.set_status(Status(StatusCode.ERROR))
        span.end(moment(record.arrived + record.seconds))

    return read


def _attributes(record: RequestRecord) -> Mapping[str, str | float]:
    """By OpenTelemetry's names where it has some."""
    known: dict[str, str | float | None] = {
        "http.request.method": plain(record.method),
        "http.route": record.route,
        "http.response.status_code": record.status,
        "http.request.body.size": record.received,
        "http.response.body.size": record.sent,
        "client.address": record.address,
        "error.type": record.code,
        "edgevlm.request_id": record.id,
        "edgevlm.client": record.client,
        "edgevlm.outcome": record.outcome,
    }
    if record.answers:
        known |= {
            "gen_ai.request.model": record.model,
            "gen_ai.usage.input_tokens": record.prompt,
            "gen_ai.usage.output_tokens": record.completion,
            "edgevlm.cached_tokens": record.cached,
            "edgevlm.pictures": record.pictures,
            "edgevlm.answers": record.answers,
            "edgevlm.confidence": rounded(record.confidence),
            "edgevlm.refused": record.refused,
        }
    return {name: value for name, value in known.items() if value is not None}
