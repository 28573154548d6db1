"""From a request that wants text to its response, and what happens when the client leaves on the way.

Every generating route comes through here, so that all have the same limits, the same ledger and the same end. Knows
HTTP, no route and no wire shape.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from edgevlm_server.errors import ApiError, EngineFailed, InvalidRequest, QueueFull, Unavailable
from edgevlm_server.http.auth import client_of
from edgevlm_server.http.disconnect import DisconnectWatch
from edgevlm_server.images.pipeline import VisionFailed
from edgevlm_server.model import Model
from edgevlm_server.prepare import Prepared
from edgevlm_server.request import EncodedImages, Generation, Picture
from edgevlm_server.runtime.admission import Place
from edgevlm_server.runtime.choices import Choices, Whole
from edgevlm_server.runtime.output import Answer, ClientLeft, Delta, Usage
from edgevlm_server.runtime.ticket import Ticket, when_all_ended
from edgevlm_server.service import Loaded, Service
from edgevlm_server.text.detokenizer import Detokenizer

log = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that left: nobody receives it, it is for the log."""

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}

Result = TypeVar("Result")


class Form(Protocol):
    """How the answers to one request are written."""

    def completion(self, answers: Sequence[Whole], usage: Usage) -> dict[str, Any] | str:
        """The body of answers that are not streamed: JSON, or plain text."""
        ...


@runtime_checkable
class StreamWriter(Form, Protocol):
    """The same, piece by piece as well."""

    def first_chunk(self, index: int, usage: Usage) -> str:
        """The events that begin an answer."""
        ...

    def chunks(self, index: int, delta: Delta, usage: Usage) -> str:
        """The events for a piece of an answer."""
        ...

    def ending(self, usage: Usage) -> str:
        """The events behind the last answer."""
        ...

    def error(self, error: ApiError) -> str:
        """The events for what went wrong after the answer had begun."""
        ...


class Wish(NamedTuple):
    """What a route understood: how many answers are wanted, behind which prompt, and how they are to be given.

    What `form` makes must not keep hold of the request's pictures.
    """

    answers: int
    stream: bool
    prepare: Callable[[Model], Prepared]
    form: Callable[[Model], Form]
    keep_space: bool = False
    """White space at an answer's beginning belongs to it: no template ends in front of it."""


class Accepted(NamedTuple):
    """What is kept of a request once it is queued: its pictures need not wait for the answers."""

    tickets: list[Ticket]
    generation: Generation
    stream: bool
    keep_space: bool
    form: Form

    def end(self) -> None:
        """Nobody waits for the answers any more. Harmless when they are over."""
        for ticket in self.tickets:
            ticket.end("cancelled")


async def answer_request(request: Request, service: Service, read: Callable[[], Awaitable[Wish]]) -> Response:
    """Answer one request. Raises `ApiError` for whatever goes wrong before the first byte of the answer."""
    arrived = time.monotonic()
    accepted = await count_request(service, lambda loaded: _accept(request, service, loaded, read))
    if accepted is None:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    loaded, queued = accepted
    count = len(queued.tickets)
    service.metrics.received.inc(count - 1)
    service.metrics.accepted.inc(count)
    choices = _choices(queued, loaded, service, arrived)
    try:
        return await (_streamed(queued, choices) if queued.stream else _whole(queued, choices))
    except ClientLeft:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except BaseException:
        queued.end()
        raise


async def count_request(
    service: Service, accept: Callable[[Loaded], Awaitable[Result]]
) -> tuple[Loaded, Result] | None:
    """Count a request in, and as rejected if `accept` raises; `None` if its client left meanwhile."""
    service.metrics.received.inc()
    try:
        loaded = service.loaded()
        return loaded, await accept(loaded)
    except ApiError as error:
        service.metrics.rejected.labels(_rejection(error)).inc()
        raise
    except ClientDisconnect:
        service.metrics.rejected.labels("client_left").inc()
        return None


async def unless_left(watch: DisconnectWatch, doing: Awaitable[Result]) -> Result:
    """Do the work, but no further once the client has left. Raises `ClientDisconnect`."""
    work = asyncio.ensure_future(doing)
    watch.when_left(work.cancel)
    try:
        return await work
    except asyncio.CancelledError:
        if watch.left:
            raise ClientDisconnect from None
        work.cancel()
        raise


async def see(service: Service, loaded: Loaded, pictures: list[Picture], client: str | None) -> EncodedImages:
    """The features of a request's images. Raises `ApiError`."""
    try:
        return await loaded.pictures.encode(pictures, client)
    except VisionFailed:
        service.engine_died()
        raise Unavailable.dead() from None


async def _accept(
    request: Request, service: Service, loaded: Loaded, read: Callable[[], Awaitable[Wish]]
) -> Accepted:
    """Read, check, prepare and queue."""
    wish = await service.admission.receive(read)
    most = service.admission.slots
    if wish.answers > most:
        raise InvalidRequest(f"n: This server can give at most {most} answers.", code="invalid_value", param="n")
    place = service.admission.enter(wish.answers)
    watch = DisconnectWatch(request)
    try:
        accepted = await unless_left(watch, _submit(service, loaded, wish, client_of(request)))
    except BaseException:
        watch.stop()
        place.leave(served=False)
        raise
    # from here on the answers' ends give the place back
    when_all_ended(accepted.tickets, lambda served: _over(served, place, watch))
    watch.when_left(accepted.end)
    return accepted


async def _submit(service: Service, loaded: Loaded, wish: Wish, client: str | None) -> Accepted:
    prepared = wish.prepare(loaded.model)
    structure = prepared.generation.structure
    constraint = None if structure is None else await loaded.grammars.compile(structure)
    seen = await see(service, loaded, prepared.pictures, client)
    tickets = [loaded.batcher.submit(sequence) for sequence in prepared.sequences(seen, constraint)]
    return Accepted(tickets, prepared.generation, wish.stream, wish.keep_space, wish.form(loaded.model))


def _over(served: bool, place: Place, watch: DisconnectWatch) -> None:
    place.leave(served=served)
    watch.stop()


def _choices(accepted: Accepted, loaded: Loaded, service: Service, arrived: float) -> Choices:
    generation, tokenizer = accepted.generation, loaded.model.tokenizer

    def answer(ticket: Ticket) -> Answer:
        text = Detokenizer(tokenizer, generation.stop, generation.min_tokens, keep_space=accepted.keep_space)
        return Answer(ticket, text, service.metrics, arrived)

    return Choices([answer(ticket) for ticket in accepted.tickets])


async def _whole(accepted: Accepted, choices: Choices) -> Response:
    answers = await choices.whole()
    body = accepted.form.completion(answers, choices.usage)
    return PlainTextResponse(body) if isinstance(body, str) else JSONResponse(body)


async def _streamed(accepted: Accepted, choices: Choices) -> Response:
    deltas = choices.deltas()
    # an engine that refuses the request now still answers with a status of its own
    first = await anext(deltas)
    events = _events(accepted, choices, first, deltas)
    return StreamingResponse(events, media_type="text/event-stream", headers=STREAM_HEADERS)


async def _events(
    accepted: Accepted,
    choices: Choices,
    first: tuple[int, Delta],
    rest: AsyncGenerator[tuple[int, Delta], None],
) -> AsyncIterator[str]:
    form = accepted.form
    assert isinstance(form, StreamWriter), "only routes that have events ask for a stream"
    try:
        for index in range(len(choices)):
            if begin := form.first_chunk(index, choices.usage):
                yield begin
        yield form.chunks(*first, choices.usage)
        async with aclosing(rest):
            async for index, delta in rest:
                yield form.chunks(index, delta, choices.usage)
        yield form.ending(choices.usage)
    except ApiError as error:
        yield form.error(error)
    except ClientLeft:
        return
    except Exception:
        log.exception("An answer broke off.")
        yield form.error(EngineFailed())
    finally:
        accepted.end()


def _rejection(error: ApiError) -> str:
    if isinstance(error, QueueFull):
        return "queue_full"
    return "unavailable" if isinstance(error, Unavailable) else "invalid_request"
