"""Names are looked up once at a time, so that one that gets no answer takes one thread and not all."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from edgevlm_server.errors import Unavailable
from edgevlm_server.images.fetch import AT_ONCE
from edgevlm_server.images.lookups import Lookups


class NameServer:
    """Plays the system's resolver: silent about one name until it is told to speak."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.speak = threading.Event()

    def getaddrinfo(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        if host == "silent.invalid":
            assert self.speak.wait(60)
            raise socket.gaierror("no answer")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", port))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    made = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", made.getaddrinfo)
    yield made
    made.speak.set()


def test_a_silent_name_holds_up_no_other(names: NameServer) -> None:
    async def play() -> None:
        lookups = Lookups()
        waiting = [asyncio.create_task(lookups.addresses("silent.invalid", 80)) for _ in range(3 * AT_ONCE)]
        await asyncio.sleep(0)
        waiting[0].cancel()  # whoever began it may leave
        assert await lookups.addresses("camera.invalid", 8080) == ["10.0.0.7"]
        names.speak.set()
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(ends[0], asyncio.CancelledError)
        assert all(isinstance(end, socket.gaierror) for end in ends[1:])
        assert await lookups.addresses("camera.invalid", 8080) == ["10.0.0.7"]
        lookups.close()

    asyncio.run(play())
    assert sorted(names.asked) == ["camera.invalid", "camera.invalid", "silent.invalid"]


def test_once_closed_nothing_is_looked_up(names: NameServer) -> None:
    async def play() -> None:
        lookups = Lookups()
        lookups.close()
        with pytest.raises(Unavailable):
            await lookups.addresses("camera.invalid", 80)

    asyncio.run(play())
    assert not names.asked
