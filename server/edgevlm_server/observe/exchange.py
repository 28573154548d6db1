"""What a client asked and what it was answered, for the audit alone. Knows no HTTP, and not how it is written down.

There is one only where an audit is kept: a request's record holds it until the audit takes it away.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MOST_TEXT = 32_768
"""Characters of a text; more than any prompt that is answered."""


class Seen(NamedTuple):
    """A picture's file: its SHA-256, its size in bytes and its format; these two are `None` for a name alone.

    `region` is the part of it that was looked at; `None`: all of it.
    """

    sha256: str
    size: int | None = None
    format: str | None = None
    region: str | None = None


class Said(NamedTuple):
    """One answer, as far as it came, also one that the client did not get; `refused` says why it is none."""

    text: str
    finish_reason: str | None
    confidence: float
    refused: str | None

    def body(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "finish_reason": self.finish_reason,
            "confidence": round(self.confidence, 6),
            "refused": self.refused,
        }


@dataclass(slots=True, eq=False)
class Exchange:
    """Filled on the event loop while the request lasts."""

    keep: Callable[[Seen, bytes], None] | None = None
    """Takes each picture as soon as it is seen, so that the request need not hold it; `None`: digests suffice."""
    question: str | None = None
    """`None`: the request was refused before it was read."""
    system: str | None = None
    pictures: dict[int, Seen] = field(default_factory=dict)
    """By their place among the request's pictures."""
    said: dict[int, Said] = field(default_factory=dict)
    """By the answer's index."""
    decided: Sequence[Mapping[str, Any]] = ()
    """A decisions request's answers, as the client gets them."""

    def asked(self, question: str, system: str = "") -> None:
        """The user's texts, and the system's."""
        self.question, self.system = question[:MOST_TEXT], system[:MOST_TEXT] or None

    def saw(self, index: int, picture: Seen, data: bytes | None = None) -> None:
        """One of its pictures. Files of no known format are not kept."""
        self.pictures[index] = picture
        if self.keep is not None and data is not None and picture.format is not None:
            self.keep(picture, data)

    @property
    def answers(self) -> list[Mapping[str, Any]]:
        """In the order of their index."""
        return [*self.decided, *(said.body() for _, said in sorted(self.said.items()))]

    @property
    def size(self) -> int:
        """Bytes that its texts and decisions take at most."""
        decided = str(self.decided) if self.decided else ""
        texts = (self.question or "", self.system or "", decided, *(one.text for one in self.said.values()))
        return 4 * sum(map(len, texts))
