"""From a request that wants text to its response, and what happens when the client leaves on the way.

Every route that writes text comes through here, so that all have the same end. Knows HTTP, no route, no wire shape.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import NamedTuple

from fastapi import Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from edgevlm_server.api.fields import GenerateRequest, ResponseWriter, StreamWriter, sureness_headers
from edgevlm_server.errors import ApiError, EngineFailed, InvalidRequest
from edgevlm_server.http.audited import note_answers, note_question
from edgevlm_server.http.visit import Arrival, Count, begun, enter
from edgevlm_server.http.waves import Waves
from edgevlm_server.http.ways import way_of
from edgevlm_server.observe.record import CLIENT_CLOSED_REQUEST, RequestRecord
from edgevlm_server.runtime.bodies import Arriving
from edgevlm_server.runtime.output import Choices, ClientLeft, Output
from edgevlm_server.service import Loaded, Service

log = logging.getLogger(__name__)

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}

Read = Callable[[Arriving], Awaitable[GenerateRequest]]
"""Reads, parses and checks a body. Raises `ApiError` or `ClientDisconnect`."""


class Queued(NamedTuple):
    """What is kept of a request once it is queued: its pictures need not wait for the answers."""

    waves: Waves
    choices: Choices
    stream: bool
    writer: ResponseWriter
    record: RequestRecord

    @contextmanager
    def noted(self) -> Iterator[None]:
        """What came of the answers within the block, in the record."""
        try:
            yield
        finally:
            self.waves.note_stages(self.record)
            choices, usage = self.choices, self.choices.usage
            self.record.counted(*usage)
            if self.record.exchange is not None:
                note_answers(self.record.exchange, choices)
            if usage.completion:
                self.record.judged(choices.confidence, choices.refused)

    def failed(self, error: ApiError) -> str:
        """The events for what went wrong after the first of them was sent."""
        assert isinstance(self.writer, StreamWriter)
        self.record.code = error.code
        return self.writer.error(error)


async def generate(request: Request, service: Service, read: Read) -> Response:
    """Answer one request. Raises `ApiError` for whatever goes wrong before the first byte of the answer."""
    with begun(request, service) as (arrival, loaded, count):
        queued = await _accept(arrival, service, loaded, read, count)
    try:
        response = await (_streamed(queued) if queued.stream else _whole(queued))
        response.headers.update(service.admission.limits.headers(arrival.client.share))
        return response
    except ClientLeft:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except BaseException:
        queued.waves.end()
        raise


async def _accept(arrival: Arrival, service: Service, loaded: Loaded, read: Read, count: Count) -> Queued:
    """Read, check, prepare and queue."""
    client, deadline, record = arrival.client, arrival.deadline, arrival.record
    asked = await deadline.within(lambda: service.admission.receive(client.share, read))
    record.enter("prepare")
    wanted = asked.request()
    record.answers, record.stream = wanted.generation.choices, wanted.stream
    if record.exchange is not None:
        note_question(record.exchange, wanted, loaded.model)
    count.answers, most = wanted.generation.choices, service.admission.slots
    if count.answers > most:
        raise InvalidRequest(f"n: This server can give at most {most} answers.", code="invalid_value", param="n")
    way = way_of(wanted, arrival, service, loaded)
    with enter(arrival, service.admission, min(most, way.sequences)) as visit:
        sequences = await service.prepare(visit.work(), way.prepare)
        writer = asked.writer(loaded.model.manifest.model, loaded.model.tokenizer)
        record.enter("queue")
        waves = Waves(service, loaded.batcher, client, visit, sequences)
        count.answers = len(waves.tickets)
    return Queued(waves, way.choices(waves), wanted.stream, writer, record)


async def _whole(queued: Queued) -> Response:
    choices = queued.choices
    with queued.noted():
        answers = await choices.whole()
    queued.record.enter("send")
    body, headers = queued.writer.whole(answers, choices.usage), sureness_headers(answers)
    return PlainTextResponse(body, headers=headers) if isinstance(body, str) else JSONResponse(body, headers=headers)


async def _streamed(queued: Queued) -> Response:
    pieces = queued.choices.pieces()
    # an engine that refuses the request now still answers with a status of its own
    with queued.noted():
        first = await anext(pieces)
    events = _events(queued, first, pieces)
    return _Events(events)


class _Events(StreamingResponse):
    """Closes its events however it ends, so that what came of the answers is noted before the record is closed."""

    def __init__(self, events: AsyncGenerator[str, None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers=STREAM_HEADERS)
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events):
            await super().__call__(scope, receive, send)


async def _events(
    queued: Queued,
    first: tuple[int, Output],
    rest: AsyncGenerator[tuple[int, Output], None],
) -> AsyncGenerator[str, None]:
    writer, choices = queued.writer, queued.choices
    assert isinstance(writer, StreamWriter), "only routes that have events ask for a stream"
    try:
        for index in range(len(choices)):
            if begin := writer.begin(index, choices.usage):
                yield begin
        yield writer.piece(*first, choices.usage)
        with queued.noted():
            async with aclosing(rest):
                async for index, piece in rest:
                    yield writer.piece(index, piece, choices.usage)
        queued.record.enter("send")
        yield writer.end(choices.usage)
    except ApiError as error:
        yield queued.failed(error)
    except ClientLeft:
        queued.record.left = True
    except Exception:
        log.exception("An answer broke off.")
        yield queued.failed(EngineFailed())
    finally:
        queued.waves.end()
