"""`POST /v1/chat/completions`: from a request to a response, and what happens when the client leaves on the way."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import NamedTuple

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from edgevlm_server.admission import Place
from edgevlm_server.answer import Answer, ClientLeft, Delta
from edgevlm_server.chat_format import ChatFormat
from edgevlm_server.disconnect import DisconnectWatch
from edgevlm_server.errors import ApiError, EngineFailed, QueueFull, Unavailable
from edgevlm_server.pictures import VisionFailed
from edgevlm_server.preparation import prepare
from edgevlm_server.request_body import read_model
from edgevlm_server.schema import ChatRequest
from edgevlm_server.served import client_of
from edgevlm_server.service import Loaded, Service
from edgevlm_server.text_stream import TextStream
from edgevlm_server.ticket import End, Ticket

log = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that left: nobody receives it, it is for the log."""

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


class Wanted(NamedTuple):
    """How the answer is to be given. The request itself, with its pictures, need not be kept until then."""

    stream: bool
    include_usage: bool
    stop: tuple[str, ...]


async def chat_completions(request: Request, service: Service) -> Response:
    """Answer one chat request. Raises `ApiError` for whatever goes wrong before the first byte of the answer."""
    arrived = time.monotonic()
    service.metrics.received.inc()
    try:
        loaded = service.loaded()
        ticket, wanted = await _accept(request, service, loaded)
    except ApiError as error:
        service.metrics.rejected.labels(_rejection(error)).inc()
        raise
    except ClientDisconnect:
        service.metrics.rejected.labels("client_left").inc()
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    service.metrics.accepted.inc()
    answer = Answer(ticket, TextStream(loaded.model.tokenizer, wanted.stop), service.metrics, arrived)
    shape = ChatFormat(loaded.model.manifest.model, include_usage=wanted.include_usage)
    try:
        return await (_streamed(ticket, answer, shape) if wanted.stream else _whole(answer, shape))
    except ClientLeft:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except BaseException:
        ticket.end("cancelled")
        raise


async def _accept(request: Request, service: Service, loaded: Loaded) -> tuple[Ticket, Wanted]:
    """Read, check, prepare and queue."""
    chat = await service.admission.receive(lambda: read_model(request, ChatRequest, service.settings.max_body))
    place = service.admission.enter()
    watch = DisconnectWatch(request)
    try:
        ticket = await _unless_left(watch, service, loaded, chat, client_of(request))
    except BaseException:
        watch.stop()
        place.leave(served=False)
        raise
    # from here on the ticket's end gives the place back
    ticket.when_ended(lambda end: _over(end, place, watch))
    watch.when_left(lambda: ticket.end("cancelled"))
    usage = chat.stream_options is not None and chat.stream_options.include_usage
    return ticket, Wanted(bool(chat.stream), usage, chat.stop_strings)


async def _unless_left(
    watch: DisconnectWatch, service: Service, loaded: Loaded, chat: ChatRequest, client: str | None
) -> Ticket:
    """Prepare and queue, but do no further work for a client that has left."""
    work = asyncio.ensure_future(_submit(service, loaded, chat, client))
    watch.when_left(work.cancel)
    try:
        return await work
    except asyncio.CancelledError:
        if watch.left:
            raise ClientDisconnect from None
        work.cancel()
        raise


async def _submit(service: Service, loaded: Loaded, chat: ChatRequest, client: str | None) -> Ticket:
    prepared = prepare(chat, loaded.model, service.settings.max_images)
    try:
        seen = await loaded.pictures.see(prepared.pictures, client)
    except VisionFailed:
        service.engine_died()
        raise Unavailable.dead() from None
    return loaded.batcher.submit(prepared.sequence(seen))


def _over(end: End, place: Place, watch: DisconnectWatch) -> None:
    place.leave(served=end.reason in ("stop", "length"))
    watch.stop()


async def _whole(answer: Answer, shape: ChatFormat) -> Response:
    text, reason = "", None
    async for delta in answer.deltas():
        text += delta.text
        reason = delta.finish_reason
    return JSONResponse(shape.completion(text, reason, answer.usage))


async def _streamed(ticket: Ticket, answer: Answer, shape: ChatFormat) -> Response:
    deltas = answer.deltas()
    # an engine that refuses the request now still answers with a status of its own
    first = await anext(deltas)
    events = _events(ticket, answer, shape, first, deltas)
    return StreamingResponse(events, media_type="text/event-stream", headers=STREAM_HEADERS)


async def _events(
    ticket: Ticket, answer: Answer, shape: ChatFormat, first: Delta, rest: AsyncIterator[Delta]
) -> AsyncIterator[str]:
    try:
        yield shape.first_chunk()
        yield shape.chunks(first)
        async for delta in rest:
            yield shape.chunks(delta)
        yield shape.ending(answer.usage)
    except ApiError as error:
        yield shape.error(error)
    except ClientLeft:
        return
    except Exception:
        log.exception("An answer broke off.")
        yield shape.error(EngineFailed())
    finally:
        ticket.end("cancelled")


def _rejection(error: ApiError) -> str:
    if isinstance(error, QueueFull):
        return "queue_full"
    return "unavailable" if isinstance(error, Unavailable) else "invalid_request"
