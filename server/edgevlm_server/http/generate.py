"""From a request that wants text to its response, and what happens when the client leaves on the way.

Every generating route comes through here, so that all have the same limits, the same ledger and the same end. Knows
HTTP, no route and no wire shape.
"""

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from fastapi import Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.requests import ClientDisconnect

from edgevlm_server.api.fields import GenerateRequest, ResponseWriter, StreamWriter
from edgevlm_server.errors import ApiError, EngineFailed, InvalidRequest, QueueFull, Unavailable
from edgevlm_server.http.access.dependencies import client_of
from edgevlm_server.http.disconnect import DisconnectWatch
from edgevlm_server.prepare import prepare
from edgevlm_server.request import Generation
from edgevlm_server.runtime.admission import Admission, Arriving, Place
from edgevlm_server.runtime.output import Answer, Choices, ClientLeft, Output, Ticket, when_all_ended
from edgevlm_server.runtime.sequence import Sequence
from edgevlm_server.service import Loaded, Service
from edgevlm_server.text.detokenizer import Detokenizer

log = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that left: nobody receives it, it is for the log."""

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}

Read = Callable[[Arriving], Awaitable[GenerateRequest]]
"""Reads, parses and checks a body. Raises `ApiError` or `ClientDisconnect`."""


@dataclass(slots=True)
class Count:
    """How many answers a request counts as: one until it is known how many it asks for."""

    answers: int = 1


@dataclass(frozen=True, slots=True)
class Visit:
    """The places that a request has taken, and the watch over its client: both end with it."""

    place: Place
    watch: DisconnectWatch

    def over(self, *, served: bool) -> None:
        """Harmless when it is over already."""
        self.place.leave(served=served)
        self.watch.stop()


class Queued(NamedTuple):
    """What is kept of a request once it is queued: its pictures need not wait for the answers."""

    tickets: list[Ticket]
    generation: Generation
    stream: bool
    writer: ResponseWriter

    def end(self) -> None:
        """Nobody waits for the answers any more. Harmless when they are over."""
        for ticket in self.tickets:
            ticket.end("cancelled")


async def generate(request: Request, service: Service, read: Read) -> Response:
    """Answer one request. Raises `ApiError` for whatever goes wrong before the first byte of the answer."""
    arrived = time.monotonic()
    with count_request(service) as count:
        loaded = service.loaded()
        queued = await _accept(request, service, loaded, read, count)
    service.metrics.accepted.inc(len(queued.tickets))
    choices = _choices(queued, loaded, service, arrived)
    try:
        return await (_streamed(queued, choices) if queued.stream else _whole(queued, choices))
    except ClientLeft:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except BaseException:
        queued.end()
        raise


@contextmanager
def count_request(service: Service) -> Iterator[Count]:
    """Count a request as received, and as rejected if the block raises: once for each answer that it asks for."""
    count, metrics = Count(), service.metrics
    try:
        yield count
    except ApiError as error:
        metrics.rejected.labels(_rejection(error)).inc(count.answers)
        raise
    except BaseException as error:
        reason = "client_left" if isinstance(error, ClientDisconnect) else "error"
        metrics.rejected.labels(reason).inc(count.answers)
        raise
    finally:
        metrics.received.inc(count.answers)


@contextmanager
def enter(request: Request, admission: Admission, places: int) -> Iterator[Visit]:
    """Take places and watch the client; both are given back if the block raises. Raises `QueueFull`."""
    place = admission.enter(places)
    made = Visit(place, DisconnectWatch(request))
    try:
        yield made
    except BaseException:
        made.over(served=False)
        raise


async def _accept(request: Request, service: Service, loaded: Loaded, read: Read, count: Count) -> Queued:
    """Read, check, prepare and queue."""
    asked = await service.admission.receive(read)
    wanted = asked.request()
    count.answers, most = wanted.generation.choices, service.admission.slots
    if count.answers > most:
        raise InvalidRequest(f"n: This server can give at most {most} answers.", code="invalid_value", param="n")
    model = loaded.model
    with enter(request, service.admission, count.answers) as visit:

        async def prepared() -> list[Sequence]:
            ready = prepare(wanted, model, service.settings.max_images)
            structure = wanted.generation.structure
            constraint = None if structure is None else await loaded.grammars.compile(structure)
            images = await loaded.pictures.encode(ready.pictures, client_of(request))
            return ready.sequences(images, constraint)

        sequences = await service.prepare(visit.watch.work(), prepared)
        writer = asked.writer(model.manifest.model, model.tokenizer)
        # nothing is awaited between queueing and what ends it, so no ticket is left without an owner
        tickets = [loaded.batcher.submit(sequence) for sequence in sequences]
        queued = Queued(tickets, wanted.generation, wanted.stream, writer)
        # from here on the answers' ends give the places back
        when_all_ended(tickets, lambda served: visit.over(served=served))
        visit.watch.when_left(queued.end)
    return queued


def _choices(queued: Queued, loaded: Loaded, service: Service, arrived: float) -> Choices:
    generation, tokenizer = queued.generation, loaded.model.tokenizer

    def answer(ticket: Ticket) -> Answer:
        text = Detokenizer(tokenizer, generation.stop, generation.min_tokens, keep_space=generation.keep_space)
        return Answer(ticket, tokenizer, text, service.metrics, arrived)

    return Choices([answer(ticket) for ticket in queued.tickets])


async def _whole(queued: Queued, choices: Choices) -> Response:
    answers = await choices.whole()
    body = queued.writer.whole(answers, choices.usage)
    return PlainTextResponse(body) if isinstance(body, str) else JSONResponse(body)


async def _streamed(queued: Queued, choices: Choices) -> Response:
    pieces = choices.pieces()
    # an engine that refuses the request now still answers with a status of its own
    first = await anext(pieces)
    events = _events(queued, choices, first, pieces)
    return StreamingResponse(events, media_type="text/event-stream", headers=STREAM_HEADERS)


async def _events(
    queued: Queued,
    choices: Choices,
    first: tuple[int, Output],
    rest: AsyncGenerator[tuple[int, Output], None],
) -> AsyncIterator[str]:
    writer = queued.writer
    assert isinstance(writer, StreamWriter), "only routes that have events ask for a stream"
    try:
        for index in range(len(choices)):
            if begin := writer.begin(index, choices.usage):
                yield begin
        yield writer.piece(*first, choices.usage)
        async with aclosing(rest):
            async for index, piece in rest:
                yield writer.piece(index, piece, choices.usage)
        yield writer.end(choices.usage)
    except ApiError as error:
        yield writer.error(error)
    except ClientLeft:
        return
    except Exception:
        log.exception("An answer broke off.")
        yield writer.error(EngineFailed())
    finally:
        queued.end()


def _rejection(error: ApiError) -> str:
    if isinstance(error, QueueFull):
        return "queue_full"
    return "unavailable" if isinstance(error, Unavailable) else "invalid_request"
