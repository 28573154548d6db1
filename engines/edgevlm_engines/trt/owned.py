"""What an engine holds, given back in the opposite order. Knows no devices."""

from contextlib import ExitStack
from typing import Protocol, TypeVar


class Freeable(Protocol):
    """Something that must be given back once."""

    def free(self) -> None: ...


Held = TypeVar("Held", bound=Freeable)


def owned(release: ExitStack, held: Held) -> Held:
    """The same, and its `free` is called when `release` is closed, after that of what came later."""
    release.callback(held.free)
    return held
