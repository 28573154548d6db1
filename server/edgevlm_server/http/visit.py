"""A generating request from its arrival to its end: who asks, until when, its places, and whether its client stays.

Every generating route comes through here, so that all have the same limits and the same ledger. Knows HTTP, no route
and no wire shape.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

from fastapi import Request
from starlette.requests import ClientDisconnect

from edgevlm_server.errors import AnswerTimeout, ApiError, CameraFailed, QueueFull, RateLimited, Unavailable
from edgevlm_server.http.access.dependencies import client_of
from edgevlm_server.observe.record import RequestRecord, record_of
from edgevlm_server.request import Client
from edgevlm_server.runtime.admission import Admission, Place
from edgevlm_server.runtime.sequence import Sequence
from edgevlm_server.runtime.work import Deadline, EarlyEnd, Work
from edgevlm_server.service import Loaded, Service

LOOK_SECONDS = 1.0


class DisconnectWatch(EarlyEnd):
    """Watches one client from its request's body until `stop`, whether its answer is streamed or not."""

    def __init__(self, request: Request) -> None:
        super().__init__(ClientDisconnect)
        self._task = asyncio.create_task(self._wait(request))

    def stop(self) -> None:
        """The answer is complete: leaving is no news any more."""
        self._task.cancel()
        super().stop()

    async def _wait(self, request: Request) -> None:
        left = False
        while not left:
            # uvicorn stops reading when bytes follow the request, and then never sees the end of the connection;
            # each new call makes it read on
            with suppress(asyncio.TimeoutError):
                message = await asyncio.wait_for(request.receive(), LOOK_SECONDS)
                left = message["type"] == "http.disconnect"
        self.come()


class Arrival(NamedTuple):
    """A request that has come: who asks, and until when."""

    request: Request
    client: Client
    deadline: Deadline
    record: RequestRecord

    @classmethod
    def of(cls, request: Request, service: Service) -> "Arrival":
        deadline, record = Deadline(service.settings.request_timeout), record_of(request.scope)
        record.exchange = service.exchange()
        return cls(request, client_of(request), deadline, record)


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
        return self.deadline.ends(self.watch.ends(Work()))


@dataclass(slots=True)
class Count:
    """How many answers a request counts as: one until it is known how many it asks for."""

    answers: int = 1


class Begun(NamedTuple):
    """A request that has come, what is to serve it, and how many answers it counts as."""

    arrival: Arrival
    loaded: Loaded
    tally: Count


@contextmanager
def begun(request: Request, service: Service) -> Iterator[Begun]:
    """The block within which a request is read, checked and queued; if it raises, the request counts as rejected.

    Raises `Unavailable` if there is nothing to serve it with.
    """
    arrival = Arrival.of(request, service)
    arrival.record.enter("body")
    with _count_request(service) as count, arrival.deadline.begun():
        loaded = service.loaded()
        arrival.record.model = loaded.model.manifest.model
        yield Begun(arrival, loaded, count)


@contextmanager
def _count_request(service: Service) -> Iterator[Count]:
    """Count a request as received, and as rejected if the block raises: once for each answer that it asks for."""
    count, metrics = Count(), service.metrics
    try:
        yield count
    except BaseException as error:
        metrics.rejected.labels(_rejection(error)).inc(count.answers)
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


def _rejection(error: BaseException) -> str:
    if isinstance(error, QueueFull):
        return "queue_full"
    if isinstance(error, RateLimited):
        return "rate_limited"
    if isinstance(error, AnswerTimeout):
        return "timeout"
    if isinstance(error, Unavailable | CameraFailed):
        return "unavailable"
    if isinstance(error, ClientDisconnect):
        return "client_left"
    return "invalid_request" if isinstance(error, ApiError) else "error"
