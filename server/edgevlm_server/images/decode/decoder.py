"""Hands pictures to worker processes and outlives them. Knows protocol and deadlines, opens no picture.

A thread is not enough: decoders are C code, which cannot be interrupted, and a crash ends its whole process.
"""

import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

from PIL import Image

from edgevlm_server.images.decode import worker as worker_process
from edgevlm_server.images.formats.header import read_header
from edgevlm_server.images.formats.limits import ImageLimits, invalid

_START_SECONDS = 30.0
_PATIENCE = 4
"""How many times its processor time a picture may take by the clock: beyond that the machine is at fault."""
_PACKAGES = str(Path(__file__).resolve().parents[3])


class ImageWorkerError(RuntimeError):
    """No worker process can be had: the fault is the server's, not the picture's."""


class ImageWorkerBusy(ImageWorkerError):
    """The machine did not find the time for a picture: later it may."""


class ImageDecoder:
    """Decodes pictures in up to `workers` processes, each started when first needed. Thread-safe."""

    def __init__(self, limits: ImageLimits, size: int, pad_colour: tuple[int, int, int], workers: int = 2) -> None:
        if workers < 1:
            raise ValueError("at least one worker is needed")
        self._limits = limits
        self._size = size
        self._pad_colour = pad_colour
        self._workers = [_Worker(limits) for _ in range(workers)]
        self._closed = False
        self._closing = threading.Lock()
        # last in, first out: a quiet server keeps to one process
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def decode(self, data: bytes) -> Image.Image:
        """The picture in mode RGB, padded and resized to `size` x `size`. Blocks, also for a free worker.

        Raises ImageError when the picture is refused, is damaged or takes more than `decode_seconds` of processor
        time, ImageWorkerBusy when the machine does not come to it, and ImageWorkerError when no worker can be
        started or the decoder is closed.
        """
        header = read_header(data, self._limits)
        request = worker_process.REQUEST.pack(
            len(data),
            header.format.encode(),
            header.width * header.height,
            header.scale,
            self._size,
            *self._pad_colour,
        )
        status, pixels = self._ask(request, data)
        if status == worker_process.UNSUPPORTED:
            raise self._limits.unsupported()
        if status == worker_process.TOO_MUCH_MEMORY:
            raise self._limits.too_much_memory()
        if status != worker_process.OK:
            raise invalid()
        return Image.frombytes("RGB", (self._size, self._size), pixels)

    def close(self) -> None:
        """Ends the processes, after the pictures under way. From then on `decode` raises ImageWorkerError."""
        self._closed = True
        with self._closing:
            for worker in [self._idle.get() for _ in self._workers]:
                worker.stop()
                self._idle.put(worker)  # for those who still wait: they see that it is closed

    def _ask(self, request: bytes, data: bytes) -> tuple[bytes, bytes]:
        worker = self._idle.get()
        try:
            if self._closed:
                raise ImageWorkerError("the image decoder is closed")
            return worker.ask(request, data, 3 * self._size * self._size)
        finally:
            self._idle.put(worker)

    def __enter__(self) -> "ImageDecoder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _NotAccepted(ImageWorkerError):
    """The process ended before it had read the whole request, so no picture is to blame."""


class _Worker:
    """A place for one process, which is started when first needed and replaced when it is gone."""

    def __init__(self, limits: ImageLimits) -> None:
        self._limits = limits
        self._process: _Process | None = None

    def ask(self, request: bytes, data: bytes, reply_length: int) -> tuple[bytes, bytes]:
        """Status and pixels. Raises ImageError for a picture that is too slow or ends the process."""
        try:
            return self._ready().ask(request, data, reply_length)
        except _NotAccepted:  # it died while idle
            return self._ready().ask(request, data, reply_length)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _ready(self) -> "_Process":
        if self._process is None or not self._process.waits():
            self.stop()
            self._process = _Process(self._limits)
        return self._process


class _Process:
    """One worker process and the socket to it. Whatever goes wrong in `ask`, the process is killed."""

    def __init__(self, limits: ImageLimits) -> None:
        self._limits = limits
        self._socket, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(_command(limits), stdin=theirs.fileno(), stdout=subprocess.DEVNULL)
        except OSError as error:
            self._socket.close()
            raise ImageWorkerError("an image worker could not be started") from error
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def _wait_until_ready(self) -> None:
        try:
            ready = self._receive(1, time.monotonic() + _START_SECONDS)
        except (EOFError, OSError) as error:
            raise ImageWorkerError("an image worker ended or hung while it started") from error
        if ready != worker_process.READY:
            raise ImageWorkerError("an image worker broke the protocol while it started")

    def waits(self) -> bool:
        """Whether it is alive and quiet, as it has to be between two pictures."""
        try:
            self._socket.setblocking(False)
            self._socket.recv(1)
        except BlockingIOError:
            return self._process.poll() is None
        except OSError:
            return False
        return False

    def kill(self) -> None:
        """Ends the process at once and leaves no zombie. May be called twice."""
        self._process.kill()
        self._process.wait()
        self._socket.close()

    def ask(self, request: bytes, data: bytes, reply_length: int) -> tuple[bytes, bytes]:
        """Status, and `reply_length` bytes where it is OK."""
        try:
            deadline = time.monotonic() + _PATIENCE * self._limits.decode_seconds
            self._hand_over(request, data, deadline)
            return self._answer(reply_length, deadline)
        except TimeoutError:
            self.kill()
            raise ImageWorkerBusy("an image worker was not done in time") from None
        except BaseException:
            self.kill()
            raise

    def _hand_over(self, request: bytes, data: bytes, deadline: float) -> None:
        try:
            for part in (request, data):
                self._set_timeout(deadline)
                self._socket.sendall(part)
            accepted = self._receive(1, deadline)
        except (EOFError, ConnectionError) as error:
            raise _NotAccepted("an image worker ended before it was given a picture") from error
        if accepted != worker_process.ACCEPTED:
            raise _NotAccepted("an image worker broke the protocol")

    def _answer(self, reply_length: int, deadline: float) -> tuple[bytes, bytes]:
        try:
            status = self._receive(1, deadline)
            if status not in worker_process.STATUSES:
                raise invalid()
            return status, self._receive(reply_length, deadline) if status == worker_process.OK else b""
        except (EOFError, ConnectionError):
            self.kill()
            raise (self._limits.too_slow() if self._process.returncode == -signal.SIGPROF else invalid()) from None

    def _receive(self, length: int, deadline: float) -> bytes:
        received = bytearray()
        while len(received) < length:
            self._set_timeout(deadline)
            block = self._socket.recv(length - len(received))
            if not block:
                raise EOFError
            received += block
        return bytes(received)

    def _set_timeout(self, deadline: float) -> None:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._socket.settimeout(remaining)


def _command(limits: ImageLimits) -> list[str]:
    # The worker looks for modules where this process does, and not in the current folder as `-m` would.
    path = [_PACKAGES, *sys.path]
    code = (
        f"import sys; sys.path[:] = {path!r}; "
        f"from edgevlm_server.images.decode.worker import serve; "
        f"serve({limits.memory_bytes}, {limits.decode_seconds})"
    )
    return [sys.executable, "-c", code]
