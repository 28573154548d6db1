"""HTTP servers on this machine that pictures are fetched from, well-behaved or not, and stand-ins for a resolver."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence

Behaviour = Callable[[socket.socket], None]
"""What a host does with a connection once it has read the request's head."""


class PictureHost:
    """Listens on a free port of 127.0.0.1; every connection gets `behaviour` in a thread of its own."""

    def __init__(self, behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self._behaviour = behaviour
        self._tls = tls
        self.requests: list[bytes] = []
        self.connections = 0
        self.threads: list[threading.Thread] = []

    def __enter__(self) -> "PictureHost":
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(20)
        self._listener.close()
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive(), "a connection was not closed"

    def url(self, path: str = "/part.png", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(connection,))
                self.threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        # whoever is cut off by the other side has done its part
        with connection, contextlib.suppress(OSError):
            connection.settimeout(20)
            stream = connection if self._tls is None else self._tls.wrap_socket(connection, server_side=True)
            with stream:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    block = stream.recv(4096)
                    if not block:
                        return
                    head += block
                self.requests.append(head)
                self._behaviour(stream)


def answers(data: bytes, head: bytes = b"HTTP/1.1 200 OK\r\n", content_type: str = "image/png") -> Behaviour:
    """One answer with a length, as a usual server gives it."""
    return says(head + f"content-type: {content_type}\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data)


def says(everything: bytes) -> Behaviour:
    """Sends these bytes and closes."""
    return lambda connection: connection.sendall(everything)


def then_waits(start: bytes) -> Behaviour:
    """Sends these bytes, and then nothing until the other side leaves."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(start)
        connection.recv(1)

    return behave


def repeats(start: bytes, block: bytes, pause: float = 0) -> Behaviour:
    """Sends `block` again and again, `pause` seconds apart, until the other side leaves."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(block)
            time.sleep(pause)

    return behave


def redirects(status: int, location: str) -> Behaviour:
    head = f"HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
    return says(head.encode())


class StandInResolver:
    """Instead of a name server: one answer after the other, the last one for ever. `asked` counts."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self._answers[min(len(self.asked), len(self._answers)) - 1]


async def no_resolver(host: str, port: int) -> Sequence[str]:
    """Instead of a name server where none may be asked."""
    raise AssertionError(f"{host} was looked up")
