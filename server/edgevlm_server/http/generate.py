"""From a request that wants text to its response, and what happens when the client leaves on the way.

Every generating route comes through here, so that all have the same limits, the same ledger and the same end. Knows
HTTP, no route and no wire shape.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from fastapi import Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.requests import ClientDisconnect

from edgevlm_server.api.fields import GenerateRequest, ResponseWriter, StreamWriter
from edgevlm_server.errors import (
    AnswerTimeout,
    ApiError,
    EngineFailed,
    InvalidRequest,
    QueueFull,
    RateLimited,
    Unavailable,
)
from edgevlm_server.http.access.dependencies import client_of
from edgevlm_server.http.deadline import Deadline
from edgevlm_server.http.disconnect import DisconnectWatch
from edgevlm_server.observe.record import CLIENT_CLOSED_REQUEST, RequestRecord, record_of
from edgevlm_server.prepare import prepare
from edgevlm_server.request import Client, Generation
from edgevlm_server.runtime.admission import Admission, Place
from edgevlm_server.runtime.bodies import Arriving
from edgevlm_server.runtime.output import Answer, Choices, ClientLeft, Output, Ticket, when_all_ended
from edgevlm_server.runtime.sequence import Sequence
from edgevlm_server.runtime.work import Work
from edgevlm_server.service import Loaded, Service
from edgevlm_server.text.detokenizer import Detokenizer

log = logging.getLogger(__name__)

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}

Read = Callable[[Arriving], Awaitable[GenerateRequest]]
"""Reads, parses and checks a body. Raises `ApiError` or `ClientDisconnect`."""


@dataclass(slots=True)
class Count:
    """How many answers a request counts as: one until it is known how many it asks for."""

    answers: int = 1


class Arrival(NamedTuple):
    """A request that has come: who asks, and until when."""

    request: Request
    client: Client
    deadline: Deadline
    record: RequestRecord

    @classmethod
    def of(cls, request: Request, service: Service) -> "Arrival":
        deadline = Deadline(service.settings.request_timeout)
        return cls(request, client_of(request), deadline, record_of(request.scope))


@dataclass(frozen=True, slots=True)
class Visit:
    """The places that a request has taken, the watch over its client, and its deadline: all end with it."""

    place: Place
    watch: DisconnectWatch
    deadline: Deadline

    def over(self, *, served: bool) -> None:
        """Harmless when it is over already."""
        self.place.leave(served=served)
        self.watch.stop()
        self.deadline.stop()

    def work(self) -> Work:
        """Work that is given up when the client has left, or its time is up."""
        return self.deadline.end(self.watch.work())


class Queued(NamedTuple):
    """What is kept of a request once it is queued: its pictures need not wait for the answers."""

    tickets: list[Ticket]
    generation: Generation
    stream: bool
    writer: ResponseWriter
    record: RequestRecord

    def end(self) -> None:
        """Nobody waits for the answers any more. Harmless when they are over."""
        for ticket in self.tickets:
            ticket.end("cancelled")

    @contextmanager
    def noted(self, choices: Choices) -> Iterator[None]:
        """What came of the answers within the block, in the record."""
        try:
            yield
        finally:
            sequences = [ticket.sequence for ticket in self.tickets]
            self.record.ran([one.began for one in sequences], [one.prefilled for one in sequences])
            usage = choices.usage
            self.record.counted(usage.prompt, usage.cached, usage.completion)

    def failed(self, error: ApiError) -> str:
        """The events for what went wrong after the first of them was sent."""
        assert isinstance(self.writer, StreamWriter)
        self.record.code = error.code
        return self.writer.error(error)

    def expire(self) -> None:
        """The time for the answers is up. Harmless when they are over."""
        for ticket in self.tickets:
            ticket.expire()


async def generate(request: Request, service: Service, read: Read) -> Response:
    """Answer one request. Raises `ApiError` for whatever goes wrong before the first byte of the answer."""
    arrival = Arrival.of(request, service)
    record = arrival.record
    record.enter("body")
    with count_request(service) as count, arrival.deadline.begun():
        loaded = service.loaded()
        record.model = loaded.model.manifest.model
        queued = await _accept(arrival, service, loaded, read, count)
    service.metrics.accepted.inc(len(queued.tickets))
    choices = _choices(queued, loaded, service)
    try:
        response = await (_streamed(queued, choices) if queued.stream else _whole(queued, choices))
        response.headers.update(service.admission.limits.headers(arrival.client.share))
        return response
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
def enter(arrival: Arrival, admission: Admission, places: int) -> Iterator[Visit]:
    """Take places and watch the client; all is given back if the block raises. Raises `QueueFull`, `RateLimited`."""
    place = admission.enter(arrival.client.share, places)
    made = Visit(place, DisconnectWatch(arrival.request), arrival.deadline)
    try:
        yield made
    except BaseException:
        made.over(served=False)
        raise


def charge(service: Service, client: Client, sequences: Iterable[Sequence]) -> None:
    """Count tokens for the client's limit: of answers as far as they have come, and of each prompt once."""
    tokens = sum(len(one.generated) + (0 if one.number else len(one.prompt)) for one in sequences)
    service.admission.limits.charge(client.share, tokens)


async def _accept(arrival: Arrival, service: Service, loaded: Loaded, read: Read, count: Count) -> Queued:
    """Read, check, prepare and queue."""
    client, deadline, record = arrival.client, arrival.deadline, arrival.record
    asked = await deadline.within(lambda: service.admission.receive(client.share, read))
    record.enter("prepare")
    wanted = asked.request()
    record.answers, record.stream = wanted.generation.choices, wanted.stream
    count.answers, most = wanted.generation.choices, service.admission.slots
    if count.answers > most:
        raise InvalidRequest(f"n: This server can give at most {most} answers.", code="invalid_value", param="n")
    model = loaded.model
    with enter(arrival, service.admission, count.answers) as visit:

        async def prepared() -> list[Sequence]:
            ready = prepare(wanted, model, service.settings.max_images)
            structure = wanted.generation.structure
            constraint = None if structure is None else await loaded.grammars.compile(structure, client.share)
            record.look_at(len(ready.pictures))
            images = await loaded.pictures.encode(ready.pictures, client)
            return ready.sequences(images, constraint)

        sequences = await service.prepare(visit.work(), prepared)
        writer = asked.writer(model.manifest.model, model.tokenizer)
        # nothing is awaited between queueing and what ends it, so no ticket is left without an owner
        record.enter("queue")
        tickets = [loaded.batcher.submit(sequence, client.share) for sequence in sequences]
        queued = Queued(tickets, wanted.generation, wanted.stream, writer, record)
        # from here on the answers' ends give the places back
        when_all_ended(tickets, lambda served: visit.over(served=served))
        when_all_ended(tickets, lambda served: charge(service, client, sequences))
        visit.watch.when_left(queued.end)
        deadline.when_over(queued.expire)
    return queued


def _choices(queued: Queued, loaded: Loaded, service: Service) -> Choices:
    generation, tokenizer = queued.generation, loaded.model.tokenizer

    def answer(ticket: Ticket) -> Answer:
        text = Detokenizer(tokenizer, generation.stop, generation.min_tokens, keep_space=generation.keep_space)
        return Answer(ticket, tokenizer, text, service.metrics, queued.record.arrived)

    return Choices([answer(ticket) for ticket in queued.tickets])


async def _whole(queued: Queued, choices: Choices) -> Response:
    with queued.noted(choices):
        answers = await choices.whole()
    queued.record.enter("send")
    body = queued.writer.whole(answers, choices.usage)
    return PlainTextResponse(body) if isinstance(body, str) else JSONResponse(body)


async def _streamed(queued: Queued, choices: Choices) -> Response:
    pieces = choices.pieces()
    # an engine that refuses the request now still answers with a status of its own
    with queued.noted(choices):
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
        with queued.noted(choices):
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
        queued.end()


def _rejection(error: ApiError) -> str:
    if isinstance(error, QueueFull):
        return "queue_full"
    if isinstance(error, RateLimited):
        return "rate_limited"
    if isinstance(error, AnswerTimeout):
        return "timeout"
    return "unavailable" if isinstance(error, Unavailable) else "invalid_request"
