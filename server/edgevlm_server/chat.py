"""`POST /v1/chat/completions`: from a request to a response, and what happens when the client leaves on the way."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import NamedTuple

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from edgevlm_server.admission import Place
from edgevlm_server.answer import Answer, ClientLeft, Delta
from edgevlm_server.chat_format import ChatFormat
from edgevlm_server.choices import Choices
from edgevlm_server.disconnect import DisconnectWatch
from edgevlm_server.errors import ApiError, EngineFailed, InvalidRequest, QueueFull, Unavailable
from edgevlm_server.generation import Generation
from edgevlm_server.pictures import VisionFailed
from edgevlm_server.preparation import prepare
from edgevlm_server.request_body import read_model
from edgevlm_server.schema import ChatRequest
from edgevlm_server.service import Loaded, Service
from edgevlm_server.text_stream import TextStream
from edgevlm_server.ticket import Ticket, when_all_ended

log = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that left: nobody receives it, it is for the log."""

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


class Accepted(NamedTuple):
    """What is kept of a request once it is queued: its pictures need not wait for the answers."""

    tickets: list[Ticket]
    generation: Generation
    stream: bool
    include_usage: bool
    continuous_usage: bool

    def end(self) -> None:
        """Nobody waits for the answers any more. Harmless when they are over."""
        for ticket in self.tickets:
            ticket.end("cancelled")


async def chat_completions(request: Request, service: Service) -> Response:
    """Answer one chat request. Raises `ApiError` for whatever goes wrong before the first byte of the answer."""
    arrived = time.monotonic()
    service.metrics.received.inc()
    try:
        loaded = service.loaded()
        accepted = await _accept(request, service, loaded)
    except ApiError as error:
        service.metrics.rejected.labels(_rejection(error)).inc()
        raise
    except ClientDisconnect:
        service.metrics.rejected.labels("client_left").inc()
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    count = len(accepted.tickets)
    service.metrics.received.inc(count - 1)
    service.metrics.accepted.inc(count)
    choices = _choices(accepted, loaded, service, arrived)
    shape = ChatFormat(
        loaded.model.manifest.model,
        loaded.model.tokenizer,
        include_usage=accepted.include_usage,
        continuous_usage=accepted.continuous_usage,
        logprobs=accepted.generation.logprobs is not None,
    )
    try:
        return await (_streamed(accepted, choices, shape) if accepted.stream else _whole(choices, shape))
    except ClientLeft:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except BaseException:
        accepted.end()
        raise


async def _accept(request: Request, service: Service, loaded: Loaded) -> Accepted:
    """Read, check, prepare and queue."""
    chat = await service.admission.receive(lambda: read_model(request, ChatRequest, service.settings.max_body))
    count = chat.n or 1
    if count > service.admission.rows:
        raise InvalidRequest(
            f"n: This server can give at most {service.admission.rows} answers.", code="invalid_value", param="n"
        )
    place = service.admission.enter(count)
    watch = DisconnectWatch(request)
    try:
        accepted = await _unless_left(watch, service, loaded, chat)
    except BaseException:
        watch.stop()
        place.leave(served=False)
        raise
    # from here on the answers' ends give the place back
    when_all_ended(accepted.tickets, lambda served: _over(served, place, watch))
    watch.when_left(accepted.end)
    return accepted


async def _unless_left(watch: DisconnectWatch, service: Service, loaded: Loaded, chat: ChatRequest) -> Accepted:
    """Prepare and queue, but do no further work for a client that has left."""
    work = asyncio.ensure_future(_submit(service, loaded, chat))
    watch.when_left(work.cancel)
    try:
        return await work
    except asyncio.CancelledError:
        if watch.left:
            raise ClientDisconnect from None
        work.cancel()
        raise


async def _submit(service: Service, loaded: Loaded, chat: ChatRequest) -> Accepted:
    prepared = prepare(chat, loaded.model, service.settings.max_images)
    structure = prepared.generation.structure
    constraint = None if structure is None else await loaded.grammars.compile(structure)
    try:
        seen = await loaded.pictures.see(prepared.urls)
    except VisionFailed:
        service.engine_died()
        raise Unavailable.dead() from None
    tickets = [loaded.batcher.submit(sequence) for sequence in prepared.sequences(seen, constraint)]
    return Accepted(tickets, prepared.generation, bool(chat.stream), chat.include_usage, chat.continuous_usage)


def _over(served: bool, place: Place, watch: DisconnectWatch) -> None:
    place.leave(served=served)
    watch.stop()


def _choices(accepted: Accepted, loaded: Loaded, service: Service, arrived: float) -> Choices:
    generation = accepted.generation
    return Choices(
        [
            Answer(
                ticket,
                TextStream(loaded.model.tokenizer, generation.stop, generation.min_tokens),
                service.metrics,
                arrived,
            )
            for ticket in accepted.tickets
        ]
    )


async def _whole(choices: Choices, shape: ChatFormat) -> Response:
    answers = await choices.whole()
    return JSONResponse(shape.completion(answers, choices.usage))


async def _streamed(accepted: Accepted, choices: Choices, shape: ChatFormat) -> Response:
    deltas = choices.deltas()
    # an engine that refuses the request now still answers with a status of its own
    first = await anext(deltas)
    events = _events(accepted, choices, shape, first, deltas)
    return StreamingResponse(events, media_type="text/event-stream", headers=STREAM_HEADERS)


async def _events(
    accepted: Accepted,
    choices: Choices,
    shape: ChatFormat,
    first: tuple[int, Delta],
    rest: AsyncGenerator[tuple[int, Delta], None],
) -> AsyncIterator[str]:
    try:
        for index in range(len(choices)):
            yield shape.first_chunk(index, choices.usage)
        yield shape.chunks(*first, choices.usage)
        async with aclosing(rest):
            async for index, delta in rest:
                yield shape.chunks(index, delta, choices.usage)
        yield shape.ending(choices.usage)
    except ApiError as error:
        yield shape.error(error)
    except ClientLeft:
        return
    except Exception:
        log.exception("An answer broke off.")
        yield shape.error(EngineFailed())
    finally:
        accepted.end()


def _rejection(error: ApiError) -> str:
    if isinstance(error, QueueFull):
        return "queue_full"
    return "unavailable" if isinstance(error, Unavailable) else "invalid_request"
