"""What is noted of one request, from its first byte to its last. Knows the words of ASGI, no route and no model.

The envelope makes a `RequestRecord` for each request and puts it into the scope's state, where `record_of` finds it.
Whoever learns something writes it there once:

    envelope            id, arrival, address, method, path; at the end status, bytes sent, outcome
    targets             route: its template, such as /v1/models/{model:path}
    key check           client
    refusals            code, the error's
    body reader         bytes received
    generating routes   model, pictures, answers, tokens, how sure it is, and the stages as they are entered

When the last byte is out, or the client has left, the envelope closes the record and hands it to each of its
`Readers`. A reader is a function of one finished record: it changes nothing in it, and comes after the answer.
Nothing here is a picture, a prompt, an answer or a key, but for what `exchange` holds where an audit is kept; `path`
and `id` are as the client sent them, so readers show them through `plain`, and make no label of them.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

from edgevlm_server.errors import Code
from edgevlm_server.observe.exchange import Exchange, Seen
from edgevlm_server.observe.labels import Outcome
from edgevlm_server.refusals import Refused

log = logging.getLogger(__name__)

Stage = Literal["body", "prepare", "pictures", "queue", "prefill", "decode", "score", "send"]
"""In the order in which they are passed; a request skips what it does not need. `prepare` makes tokens and grammars,
`decode` begins with the first token, and `score` is all that the engine does for decisions."""

STAGES: tuple[Stage, ...] = get_args(Stage)


QUIET = ("/health", "/ready", "/metrics", "/status")


class Passed(NamedTuple):
    """A stage that is over: from when to when, on the monotonic clock."""

    stage: Stage
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(slots=True, eq=False, kw_only=True)
class RequestRecord:
    """Times are seconds of the monotonic clock, but for `time`."""

    id: str
    method: str
    path: str
    address: str | None
    """The client's, or what a trusted proxy says it is."""
    traceparent: str | None = None
    """The client's, not yet checked: the span that this request is part of."""
    arrived: float = field(default_factory=time.monotonic)
    time: float = field(default_factory=time.time)
    """When it arrived, of the wall clock."""

    route: str | None = None
    """`None`: there is no such path, or the request was refused before anyone looked."""
    client: str | None = None
    """The name that belongs to its key; `None` on a server without keys, where all are one client."""
    model: str | None = None
    stream: bool = False
    received: int = 0
    """Bytes of its body, as far as it came."""
    sent: int = 0
    """Bytes of the answer's body."""
    pictures: int = 0
    answers: int = 0
    """How many it asked for; 0 where nothing is generated."""
    prompt: int = 0
    cached: int = 0
    completion: int = 0
    """See `counted`."""
    confidence: float | None = None
    """Of the answer that is least sure, 0 to 1."""
    refused: Refused | None = None
    """Why an answer is none."""

    status: int = 0
    """0: the answer never began."""
    code: Code | None = None
    """The code of the error that it ended with, also of one within a stream."""
    complete: bool = False
    """The last byte of the answer is out."""
    left: bool = False
    """The client left before that."""
    ended: float | None = None
    """`None` while it lasts."""
    entered: list[tuple[Stage, float]] = field(default_factory=list)
    """Stages, and when they began; each lasts until the next begins."""
    exchange: Exchange | None = None
    """The audit's, of a generating request; it takes it away when the request is over."""

    def enter(self, stage: Stage, at: float | None = None) -> None:
        """A stage begins, now or at an earlier time, and the one before it ends."""
        if all(stage != known for known, _ in self.entered):
            self.entered.append((stage, time.monotonic() if at is None else at))

    def look_at(self, pictures: int) -> None:
        """So many pictures are encoded now, or found in the cache."""
        self.pictures = pictures
        if pictures:
            self.enter("pictures")

    @property
    def look(self) -> Callable[[int, Seen, bytes | None], None] | None:
        """Who wants to see its pictures, if anyone does."""
        return None if self.exchange is None else self.exchange.saw

    def ran(self, began: Iterable[float | None], prefilled: Iterable[float | None]) -> None:
        """When its sequences got their slots, and when their first tokens were there, as far as they came."""
        moments: tuple[tuple[Stage, Iterable[float | None]], ...] = (("prefill", began), ("decode", prefilled))
        for stage, times in moments:
            known = [one for one in times if one is not None]
            if known:
                self.enter(stage, min(known))

    def counted(self, prompt: int, cached: int, completion: int) -> None:
        """Positions of the prompt, how many of them had been computed before, and tokens of the answers, so far."""
        self.prompt, self.cached, self.completion = prompt, cached, completion

    def judged(self, confidence: float, refused: Refused | None = None) -> None:
        """How sure the answers are, so far."""
        self.confidence, self.refused = confidence, refused

    def close(self) -> None:
        """It is over: nothing is written any more."""
        self.ended = time.monotonic()

    @property
    def seconds(self) -> float:
        """From its arrival to its end, or until now."""
        return (self.ended if self.ended is not None else time.monotonic()) - self.arrived

    @property
    def quiet(self) -> bool:
        """Asked all day long by supervisors, and nothing to tell of unless it was refused; or one of a crowd."""
        return (self.route in QUIET and self.outcome != "refused") or self.code == "too_many_connections"

    @property
    def passed(self) -> list[Passed]:
        """Its stages in their order, without gaps; the last one ends with the request."""
        ends = [*(began for _, began in self.entered[1:]), self.arrived + self.seconds]
        return [Passed(*stage, ended) for stage, ended in zip(self.entered, ends, strict=False)]

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        if self.left or self.status == CLIENT_CLOSED_REQUEST:
            return "left"
        if 400 <= self.status < 500:
            return "refused"
        # an error within a stream comes behind a 200
        return "ok" if self.complete and self.status < 500 and self.code is None else "failed"


CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that left: nobody receives it, it is for log and metrics."""


def record_of(scope: Mapping[str, Any]) -> RequestRecord:
    """The record of the request that has this scope."""
    record: RequestRecord = scope["state"]["record"]
    return record


def plain(text: str) -> str:
    """A text that a client sent, as it may be shown: one line of plain characters, not too long."""
    text = text[:120]
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)


def rounded(confidence: float | None) -> float | None:
    """A confidence as it may be shown."""
    return None if confidence is None else round(confidence, 6)


Reader = Callable[[RequestRecord], None]
"""Called on the event loop, after the answer: it must be quick. What takes longer belongs in a thread of its own."""


class Readers:
    """Each in turn; one that fails harms no request and no other reader."""

    def __init__(self, *readers: Reader) -> None:
        self._readers = list(readers)

    def add(self, reader: Reader) -> None:
        """Before the first request comes."""
        self._readers.append(reader)

    def read(self, record: RequestRecord) -> None:
        """Hand a finished record to everyone."""
        for reader in self._readers:
            try:
                reader(record)
            except Exception:
                log.exception("A request could not be noted.")
