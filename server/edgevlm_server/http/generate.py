"""From a request that wants text to its response, and what happens when the client leaves on the way.

Every route that writes text comes through here, so that all have the same end. Knows HTTP, no route, no wire shape.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import NamedTuple

from fastapi import Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from edgevlm_server.api.fields import GenerateRequest, ResponseWriter, StreamWriter, sureness_headers
from edgevlm_server.errors import ApiError, EngineFailed, InvalidRequest
from edgevlm_server.http.audited import OverheardChoices, note_question
from edgevlm_server.http.visit import Arrival, Count, charge, count_request, enter
from edgevlm_server.observe.record import CLIENT_CLOSED_REQUEST, RequestRecord
from edgevlm_server.prepare import prepare
from edgevlm_server.refusals import Judge
from edgevlm_server.request import Generation
from edgevlm_server.runtime.bodies import Arriving
from edgevlm_server.runtime.output import Answer, Choices, ClientLeft, Output, Ticket, when_all_ended
from edgevlm_server.runtime.sequence import Sequence
from edgevlm_server.service import Loaded, Service
from edgevlm_server.text.detokenizer import Detokenizer

log = logging.getLogger(__name__)

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}

Read = Callable[[Arriving], Awaitable[GenerateRequest]]
"""Reads, parses and checks a body. Raises `ApiError` or `ClientDisconnect`."""


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
            if usage.completion:
                self.record.judged(choices.confidence, choices.refused)

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
    model = loaded.model
    with enter(arrival, service.admission, count.answers) as visit:

        async def prepared() -> list[Sequence]:
            ready = prepare(wanted, model, service.settings.max_images)
            structure = wanted.generation.structure
            constraint = None if structure is None else await loaded.grammars.compile(structure, client.share)
            record.look_at(len(ready.pictures))
            images = await loaded.pictures.encode(ready.pictures, client, record.look)
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
        visit.watch.when_here(queued.end)
        deadline.when_here(queued.expire)
    return queued


def _choices(queued: Queued, loaded: Loaded, service: Service) -> Choices:
    generation, tokenizer, least = queued.generation, loaded.model.tokenizer, queued.generation.min_confidence
    judge = Judge(loaded.model.about.refusal.text, service.settings.min_confidence if least is None else least)

    def answer(ticket: Ticket) -> Answer:
        text = Detokenizer(tokenizer, generation.stop, generation.min_tokens, keep_space=generation.keep_space)
        return Answer(ticket, tokenizer, text, judge, service.metrics, queued.record.arrived)

    answers, exchange = [answer(ticket) for ticket in queued.tickets], queued.record.exchange
    return Choices(answers) if exchange is None else OverheardChoices(answers, exchange)


async def _whole(queued: Queued, choices: Choices) -> Response:
    with queued.noted(choices):
        answers = await choices.whole()
    queued.record.enter("send")
    body, headers = queued.writer.whole(answers, choices.usage), sureness_headers(answers)
    return PlainTextResponse(body, headers=headers) if isinstance(body, str) else JSONResponse(body, headers=headers)


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
