"""Traces: a span for each request and its stages, under the client's own; without an address nothing is imported."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from edgevlm_server.observe.record import RequestRecord
from edgevlm_server.observe.traces import traced
from edgevlm_server.settings import SettingsError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.live import LiveServer
from tests.pictures import data_url, image_part, text_part, user
from tests.server.observe.recorded import Records

Bundles = Callable[[str], Path]

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector:
    """What a collector is sent, read as OTLP."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[dict[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:
                assert handler.path == "/v1/traces"
                body = handler.rfile.read(int(handler.headers["content-length"]))
                self._take(ExportTraceServiceRequest.FromString(body))
                handler.send_response(200)
                handler.end_headers()

            def log_message(handler, format: str, *arguments: Any) -> None: ...

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    @contextmanager
    def listening(self) -> Iterator[None]:
        thread = Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def _take(self, sent: ExportTraceServiceRequest) -> None:
        for resource in sent.resource_spans:
            self.resources.append(attributes(resource.resource))
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]


def attributes(holder: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in holder.attributes}


@pytest.fixture
def sent(bundles: Bundles, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """The spans of what a function asks of a server."""
    monkeypatch.setattr("edgevlm_server.observe.traces.EXPORT_SECONDS", 60.0)

    def spans(ask: Callable[[LiveServer, Records], object]) -> list[Any]:
        collector = Collector()
        with (
            collector.listening(),
            traced(collector.url) as readers,
            LiveServer.on_bundle(bundles("v2"), engine="echo") as server,
        ):
            for reader in readers:
                server.service.readers.add(reader)
            ask(server, Records(server))
        assert all(one["service.name"] == "edgevlm" for one in collector.resources)
        return collector.spans

    return spans


@pytest.mark.slow
def test_a_request_is_a_span_with_its_stages_inside(sent: Callable[..., list[Any]]) -> None:
    read: list[RequestRecord] = []

    def ask(server: LiveServer, records: Records) -> None:
        body = {"messages": user(image_part(data_url()), text_part()), "max_tokens": 4}
        server.client.post("/v1/chat/completions", json=body, headers={"traceparent": PARENT, "x-request-id": "r-1"})
        read.append(records.next())

    spans = sent(ask)
    [root] = [span for span in spans if span.name == "POST /v1/chat/completions"]
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == tuple(PARENT.split("-")[1:3])
    stages = sorted((span for span in spans if span is not root), key=lambda span: span.start_time_unix_nano)
    assert [span.name for span in stages] == [one.stage for one in read[0].passed]
    for span in stages:
        assert (span.trace_id, span.parent_span_id) == (root.trace_id, root.span_id)
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano
    assert root.start_time_unix_nano == pytest.approx(read[0].time * 1e9, abs=1e6)
    known = attributes(root)
    assert (known["http.route"], known["http.response.status_code"]) == ("/v1/chat/completions", 200)
    assert (known["gen_ai.usage.output_tokens"], known["edgevlm.request_id"]) == (4, "r-1")
    assert known["gen_ai.request.model"] == "v2" and known["edgevlm.pictures"] == 1


@pytest.mark.slow
def test_what_is_no_parent_starts_a_trace_of_its_own(sent: Callable[..., list[Any]]) -> None:
    def ask(server: LiveServer, records: Records) -> None:
        for parent in ("", "nonsense", "00-0-0-01", "é" * 300):
            server.client.get("/v1/models", headers=[(b"traceparent", parent.encode("latin-1"))])
            records.next()

    spans = sent(ask)
    assert len({span.trace_id for span in spans}) == len(spans) == 4
    assert not any(span.parent_span_id for span in spans)


@pytest.mark.slow
def test_a_client_that_does_not_trace_is_not_traced_and_probes_never_are(sent: Callable[..., list[Any]]) -> None:
    def ask(server: LiveServer, records: Records) -> None:
        server.client.get("/v1/models", headers={"traceparent": PARENT.removesuffix("01") + "00"})
        server.client.get("/health")
        records.next(), records.next()

    assert sent(ask) == []


@pytest.mark.slow
def test_without_an_address_nothing_is_imported() -> None:
    code = (
        "import sys, edgevlm_server.run\n"
        "from edgevlm_server.observe.traces import traced\n"
        "with traced(None) as readers: assert readers == ()\n"
        # FastAPI imports the rest by itself where it is installed
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_missing_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"edgevlm\[otel\]"), traced("http://127.0.0.1:9/v1/traces"):
        pass
