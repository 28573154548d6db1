"""A request's sequences in the engine's queue, no more at once than it has places. Knows no route and no wire shape.

The others wait until those before them are through. However a request ends, its sequences and its places end with it.
"""

import time
from collections import deque
from collections.abc import AsyncIterator, Iterable

from edgevlm_server.errors import AnswerTimeout, MakeError
from edgevlm_server.http.visit import Visit, charge
from edgevlm_server.observe.record import RequestRecord
from edgevlm_server.request import Client
from edgevlm_server.runtime.batcher import Batcher
from edgevlm_server.runtime.output import ClientLeft, Usage
from edgevlm_server.runtime.sequence import Sequence, Ticket, when_all_ended
from edgevlm_server.service import Service


class Waves:
    """The first wave is queued at once; `each` queues the others."""

    def __init__(
        self, service: Service, batcher: Batcher, client: Client, visit: Visit, sequences: Iterable[Sequence]
    ) -> None:
        """Nothing may be awaited between taking the places and this, so that no place is left without an owner."""
        self._service = service
        self._batcher = batcher
        self._client = client
        self._visit = visit
        self._left = deque(sequences)
        self._ended: MakeError | None = None
        """Why no further wave begins."""
        self.begun: list[Sequence] = []
        self.tickets: list[Ticket] = []
        """Of the latest wave."""
        self._begin()
        # only now: what has come already ends what was just queued
        visit.watch.when_here(self.end)
        visit.deadline.when_here(self.expire)

    async def each(self) -> AsyncIterator[Ticket]:
        """All tickets in the order of their sequences; each must be read to its end before the next is asked for.

        Raises `ClientLeft` or `AnswerTimeout` where another wave would begin.
        """
        while self.tickets:
            for ticket in self.tickets:
                yield ticket
            if self._ended is not None:
                raise self._ended()
            self._begin()
            for ticket in self.tickets:
                # it waited for others of its own request, not for the server
                ticket.since = time.monotonic()
            self._service.metrics.received.inc(len(self.tickets))

    @property
    def usage(self) -> Usage:
        """So far. A prompt counts once, however many of its answers are tried: with the first of them."""
        first = [one for one in self.begun if not one.number]
        return Usage(
            prompt=sum(len(one.prompt) for one in first),
            cached=sum(one.reused for one in first),
            completion=sum(len(one.generated) for one in self.begun),
        )

    def note_stages(self, record: RequestRecord) -> None:
        """In the record: when the sequences so far got their slots, and when their first tokens were there."""
        record.ran([one.began for one in self.begun], [one.prefilled for one in self.begun])

    def end(self) -> None:
        """Nobody waits for the rest any more. Harmless when all is over."""
        self._stop(ClientLeft)
        for ticket in self.tickets:
            ticket.end("cancelled")

    def expire(self) -> None:
        """The time is up. Harmless when all is over."""
        self._stop(AnswerTimeout)
        for ticket in self.tickets:
            ticket.expire()

    def _begin(self) -> None:
        count = min(self._visit.place.count, len(self._left))
        sequences = [self._left.popleft() for _ in range(count)]
        self.begun += sequences
        self.tickets = [self._batcher.submit(sequence, self._client.share) for sequence in sequences]
        self._service.metrics.accepted.inc(len(sequences))
        when_all_ended(self.tickets, lambda served: charge(self._service, self._client, sequences))
        if not self._left:
            self._give_back()

    def _stop(self, why: MakeError) -> None:
        self._ended = self._ended or why
        self._left.clear()
        self._give_back()

    def _give_back(self) -> None:
        """The places, once nothing runs any more."""
        when_all_ended(self.tickets, lambda served: self._visit.over(served=served))
