"""Resources that an engine holds, freed in the opposite order. Knows no devices."""

from contextlib import ExitStack
from typing import Protocol, TypeVar


class Freeable(Protocol):
    """A resource that must be freed once."""

    def free(self) -> None: ...


Held = TypeVar("Held", bound=Freeable)


def owned(release: ExitStack, held: Held) -> Held:
    """Returns `held`, which is freed when `release` closes, after everything that was registered later."""
    release.callback(held.free)
    return held
