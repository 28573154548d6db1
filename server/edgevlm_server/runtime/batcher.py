"""The one thread that owns the engine, and its door to the event loop. Knows sequences, no text and no HTTP.

In: one inbox of verbs. Out: a queue per request, filled by one wake-up of the event loop per step. Every request
that is submitted gets exactly one `End`, last, whatever happens: `accepted = completed + failed + cancelled`.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
from edgevlm_engines import Engine, Floats

from edgevlm_server.errors import EngineFailed, MakeError, TooComplex, Unavailable
from edgevlm_server.observe.labels import EndReason
from edgevlm_server.runtime.logprobs import chosen_logprobs, logprobs_of
from edgevlm_server.runtime.prefix_cache import PrefixCache
from edgevlm_server.runtime.sampling import sample_batch
from edgevlm_server.runtime.scheduler import Scheduler
from edgevlm_server.runtime.sequence import EarlyReason, End, Event, Sequence, Ticket, Token

log = logging.getLogger(__name__)

Verb = Literal["add"] | EarlyReason
"""Add a ticket, or end it for this reason. `None` in the inbox ends the thread."""


class Observer(Protocol):
    """Told what happens, from any thread. Must be quick and must not raise."""

    def load(self, running: int, waiting: int) -> None: ...

    def decoded(self, sequences: int, seconds: float) -> None: ...

    def prefilled(self, positions: int, seconds: float) -> None: ...

    def generated(self, tokens: int) -> None: ...

    def reused(self, looked_up: int, found: int) -> None: ...

    def ended(self, reason: EndReason) -> None: ...


class Batcher:
    """Continuous batching: requests join and leave the running batch at any step."""

    def __init__(
        self,
        engine: Engine,
        observer: Observer,
        on_death: Callable[[], None],
        prefix_bytes: int = 0,
        temperature: float = 1.0,
    ) -> None:
        """`on_death` is called once, on the event loop, when the engine has failed and all requests were told.

        `temperature` is the one under which it counts how sure an answer is; it changes no token.
        """
        self._engine = engine
        self._observer = observer
        self._on_death = on_death
        self._temperature = temperature
        self._scheduler = Scheduler(engine.info.slots)
        self.prefixes = PrefixCache(engine, prefix_bytes)
        self._tickets: dict[Sequence, Ticket] = {}
        self._outgoing: list[tuple[Ticket, Event]] = []
        self._inbox: queue.SimpleQueue[tuple[Verb, Ticket] | None] = queue.SimpleQueue()
        self._open: set[Ticket] = set()
        self._refusal: MakeError | None = None
        self._step_began: float | None = None
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._main, name="batcher", daemon=True)
        self._thread.start()

    def submit(self, sequence: Sequence, client: str = "") -> Ticket:
        """Queue a sequence that fits into a slot, in any words for the client who waits for it."""
        sequence.client = client
        ticket = Ticket(sequence, self.end)
        # counted where it is delivered: there it comes once, whoever else tells the request of its end
        ticket.when_ended(lambda end: self._observer.ended(end.reason))
        if self._refusal is not None:
            ticket.deliver(End("error", self._refusal))
            return ticket
        self._open.add(ticket)
        ticket.when_ended(lambda end: self._open.discard(ticket))
        self._inbox.put(("add", ticket))
        return ticket

    def end(self, ticket: Ticket, reason: EarlyReason) -> None:
        """See `Ticket.end`."""
        self._inbox.put((reason, ticket))

    def busy_seconds(self) -> float:
        """How long the engine call under way has taken so far."""
        began = self._step_began
        return 0.0 if began is None else time.monotonic() - began

    def refuse(self) -> None:
        """Answer every later request with an error. Called on the event loop, as `submit` is."""
        self._refusal = Unavailable.draining

    def abandon(self, refusal: MakeError) -> None:
        """The thread hangs: end every request without it. Called on the event loop."""
        self._refusal = refusal
        for ticket in list(self._open):
            ticket.deliver(End("error", refusal))

    def close(self) -> None:
        """End every request that is left with an error. Blocks until the thread has ended; `refuse` comes before."""
        self._inbox.put(None)
        self._thread.join()
        self.prefixes.clear()

    # -- below: the batcher's own thread

    def _main(self) -> None:
        try:
            self._serve()
            self._refuse_all(Unavailable.draining)
        # an extension in Rust that panics raises no `Exception`
        except BaseException:
            log.exception("The engine failed; every request is refused from now on.")
            self._step_began = None
            self._refuse_all(Unavailable.dead)
            self._on_loop(self._on_death)
            self._refuse_newcomers(Unavailable.dead)

    def _serve(self) -> None:
        while True:
            idle = not self._scheduler.running and not self._scheduler.waiting
            if not self._empty_inbox(wait=idle):
                return
            self._step_began = time.monotonic()
            self._step()
            self._step_began = None
            self._flush()

    def _empty_inbox(self, *, wait: bool) -> bool:
        """Take in all that has arrived, waiting for something if there is nothing to do; false means stop."""
        while True:
            try:
                item = self._inbox.get(block=wait)
            except queue.Empty:
                return True
            if item is None:
                return False
            wait = False
            self._step_began = time.monotonic()  # an early end may copy a slot
            verb, ticket = item
            if verb == "add":
                self._tickets[ticket.sequence] = ticket
                self._scheduler.add(ticket.sequence)
            elif ticket.sequence in self._tickets:
                self._end(ticket, End(verb))

    def _step(self) -> None:
        decode, prefill = self._scheduler.next_step()
        if decode:
            self._decode(decode)
        if prefill is not None:
            self._prefill(prefill)
        self._observer.generated(sum(isinstance(event, Token) for _, event in self._outgoing))

    def _decode(self, sequences: list[Sequence]) -> None:
        tokens = np.array([sequence.generated[-1] for sequence in sequences], np.int64)
        lengths = np.array([sequence.cached for sequence in sequences], np.int64)
        began = time.monotonic()
        logits = self._engine.decode(tokens, lengths)
        self._observer.decoded(len(sequences), time.monotonic() - began)
        self._append(sequences, logits)

    def _prefill(self, sequence: Sequence) -> None:
        if not sequence.computed:
            sequence.began = time.monotonic()
            sequence.computed = sequence.reused = self.prefixes.restore(sequence)
            self._observer.reused(len(sequence.prompt), sequence.reused)
        tokens, features = sequence.chunk(self._engine.info.max_chunk)
        began = time.monotonic()
        try:
            logits = self._engine.prefill(sequence.slot, sequence.computed, tokens, features)
        except ValueError:
            # the engine's word for a prompt that it cannot take: nothing has changed, and others go on
            log.exception("The engine refused a prompt.")
            self._end(self._tickets[sequence], End("error", EngineFailed))
            return
        self._observer.prefilled(len(tokens), time.monotonic() - began)
        if self._scheduler.prefilled(sequence, len(tokens)):
            # at once: the slot may be gone with the first token, and others may ask about the same picture meanwhile
            self.prefixes.keep(sequence)
            self._append([sequence], logits[np.newaxis])
            sequence.prefilled = time.monotonic()

    def _append(self, sequences: list[Sequence], logits: Floats) -> None:
        """Choose the next token of each, `[n, vocab_size]`, and end those that are through."""
        ends: list[tuple[Ticket, End]] = []
        tokens = sample_batch([sequence.sampler for sequence in sequences], logits)
        now = time.monotonic()
        chosen = chosen_logprobs(logits, [token or 0 for token in tokens], self._temperature)
        for sequence, token, logprob, slot in zip(sequences, tokens, chosen, logits, strict=True):
            ticket = self._tickets[sequence]
            if token is None:
                ends.append((ticket, End("error", _why_not(sequence))))
                continue
            sequence.take(token, logprob)
            logprobs = None if sequence.logprobs is None else logprobs_of(slot, token, sequence.logprobs)
            self._outgoing.append((ticket, Token(token, now, logprobs, sequence.confidence)))
            if sequence.finish_reason is not None:
                ends.append((ticket, End(sequence.finish_reason)))
        # only now: a slot copy must not leave behind a position that its sequence does not count yet
        for ticket, end in ends:
            self._end(ticket, end)

    def _end(self, ticket: Ticket, end: End) -> None:
        for move in self._scheduler.remove(ticket.sequence):
            self._engine.move_slot(*move)
        self._finish(ticket, end)

    def _finish(self, ticket: Ticket, end: End) -> None:
        del self._tickets[ticket.sequence]
        self._outgoing.append((ticket, end))

    def _flush(self) -> None:
        self._observer.load(self._scheduler.running, self._scheduler.waiting)
        if self._outgoing:
            batch, self._outgoing = self._outgoing, []
            self._on_loop(lambda: _deliver(batch))

    def _refuse_all(self, refusal: MakeError) -> None:
        """The end of the thread's life: tell everyone who is here."""
        for ticket in list(self._tickets.values()):
            self._finish(ticket, End("error", refusal))
        self._scheduler = Scheduler(self._engine.info.slots)
        self._flush()

    def _refuse_newcomers(self, refusal: MakeError) -> None:
        """The thread must outlive its engine: a request in the inbox of nobody would wait for ever."""
        while (item := self._inbox.get()) is not None:
            verb, ticket = item
            if verb == "add":
                self._tickets[ticket.sequence] = ticket
                self._refuse_all(refusal)

    def _on_loop(self, call: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            # the loop is closed: the process is ending and no client is left to be told
            log.debug("Event loop closed before the last events were delivered.")


def _why_not(sequence: Sequence) -> MakeError:
    """Why no token could be chosen."""
    if sequence.constraint is not None and sequence.constraint.failed:
        return TooComplex
    log.error("The engine returned logits that are not finite.")
    return EngineFailed


def _deliver(batch: list[tuple[Ticket, Event]]) -> None:
    for ticket, event in batch:
        ticket.deliver(event)
