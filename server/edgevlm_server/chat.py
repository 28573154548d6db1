"""`POST /v1/chat/completions`: from a request to a response, and what happens when the client leaves on the way."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from edgevlm_server.admission import Place
from edgevlm_server.answer import Answer, ClientLeft, Delta
from edgevlm_server.batcher import Ticket
from edgevlm_server.chat_format import ChatFormat
from edgevlm_server.errors import ApiError, QueueFull, Unavailable
from edgevlm_server.request_body import read_model
from edgevlm_server.schema import ChatRequest
from edgevlm_server.service import Running, Service
from edgevlm_server.text_stream import TextStream

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that left: nobody receives it, it is for the log."""

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


async def chat_completions(request: Request, service: Service) -> Response:
    """Answer one chat request. Raises `ApiError` for whatever goes wrong before the first byte of the answer."""
    arrived = time.monotonic()
    service.metrics.received.inc()
    try:
        running = service.running()
        place = service.admission.enter()
        ticket, chat = await _accept(request, service, running, place)
    except ApiError as error:
        service.metrics.rejected.labels(_rejection(error)).inc()
        raise
    except ClientDisconnect:
        service.metrics.rejected.labels("client_left").inc()
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    service.metrics.accepted.inc()
    model = running.model
    answer = Answer(ticket, TextStream(model.tokenizer, chat.stop_strings), service.metrics, arrived)
    shape = ChatFormat(model.manifest.model, chat)
    try:
        return await (_streamed(ticket, answer, shape) if chat.stream else _whole(answer, shape))
    except ClientLeft:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except BaseException:
        ticket.end("cancelled")
        raise


async def _accept(request: Request, service: Service, running: Running, place: Place) -> tuple[Ticket, ChatRequest]:
    """Read, check and queue; from here on the ticket's end gives the place back."""
    try:
        chat = await read_model(request, ChatRequest, service.settings.max_body)
        watch = DisconnectWatch(request)
        try:
            ticket = await service.submit(running, chat)
        except BaseException:
            watch.stop()
            raise
    except BaseException:
        place.leave()
        raise
    ticket.when_ended(place.leave)
    ticket.when_ended(watch.stop)
    watch.when_left(lambda: ticket.end("cancelled"))
    return ticket, chat


async def _whole(answer: Answer, shape: ChatFormat) -> Response:
    text, reason = "", None
    async for delta in answer.deltas():
        text += delta.text
        reason = delta.finish_reason
    return JSONResponse(shape.completion(text, reason, answer.prompt_tokens, answer.completion_tokens))


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
        yield shape.ending(answer.prompt_tokens, answer.completion_tokens)
    except ApiError as error:
        yield shape.error(error)
    except ClientLeft:
        return
    finally:
        ticket.end("cancelled")


class DisconnectWatch:
    """Notices that the client has left, at any time after its body was read, streamed or not."""

    def __init__(self, request: Request) -> None:
        self._left = False
        self._callbacks: list[Callable[[], None]] = []
        self._task = asyncio.create_task(self._wait(request))

    def when_left(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the client has left, at once if it already has."""
        if self._left:
            callback()
        else:
            self._callbacks.append(callback)

    def stop(self) -> None:
        """The answer is complete: leaving is no news any more."""
        self._task.cancel()

    async def _wait(self, request: Request) -> None:
        # the body has been read, so only a disconnect can arrive
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self._left = True
        for callback in self._callbacks:
            callback()


def _rejection(error: ApiError) -> str:
    if isinstance(error, QueueFull):
        return "queue_full"
    return "unavailable" if isinstance(error, Unavailable) else "invalid_request"
