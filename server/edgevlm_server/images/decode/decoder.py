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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType

from PIL import Image

from edgevlm_server.images.decode import worker as worker_process
from edgevlm_server.images.formats.header import ImageHeader, read_header
from edgevlm_server.images.formats.limits import ImageError, ImageLimits, invalid, region_outside
from edgevlm_server.images.region import Region

_START_SECONDS = 30.0
_PATIENCE = 4
"""How many times its processor time a picture may take by the clock: beyond that the machine is at fault."""
_PACKAGES = str(Path(__file__).resolve().parents[3])


class ImageWorkerError(RuntimeError):
    """No worker process can be had: the fault is the server's, not the picture's."""


class ImageWorkerBusy(ImageWorkerError):
    """The machine did not find the time, or the memory, for a picture: later it may."""


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

    def decode(self, data: bytes, region: Region | None = None) -> Image.Image:
        """One part of a picture, or all of it: see `parts`. Raises ImageError too."""
        [part] = self.parts(data, [region])
        if isinstance(part, ImageError):
            raise part
        return part

    def parts(self, data: bytes, regions: Sequence[Region | None]) -> list[Image.Image | ImageError]:
        """Each part in mode RGB, padded and resized to `size` x `size`. Blocks, also for a free worker.

        The file is decoded once; but a large JPEG at a fraction for all of it, and whole for what is cut out of it.
        An ImageError stands where the picture is refused, is damaged or takes more than `decode_seconds` of
        processor time, or where the part is outside of it. Raises ImageWorkerBusy when the machine does not come
        to it or ends its process, and ImageWorkerError when no worker can be started or the decoder is closed.
        """
        try:
            header = read_header(data, self._limits)
        except ImageError as error:
            return [error.again() for _ in regions]
        made: dict[int, Image.Image | ImageError] = {}
        for decoded_as, numbers in _by_scale(header, regions):
            while numbers:
                answers = self._some_parts(data, decoded_as, [regions[number] for number in numbers])
                made.update(zip(numbers, answers, strict=False))
                numbers = numbers[len(answers) :]
        return [made[number] for number in range(len(regions))]

    def close(self) -> None:
        """Ends the processes, after the pictures under way. From then on `decode` raises ImageWorkerError."""
        self._closed = True
        with self._closing:
            for worker in [self._idle.get() for _ in self._workers]:
                worker.stop()
                self._idle.put(worker)  # for those who still wait: they see that it is closed

    def _some_parts(
        self, data: bytes, header: ImageHeader, regions: Sequence[Region | None]
    ) -> list[Image.Image | ImageError]:
        """The first one at least: those behind one that ends the process are not begun."""
        texts = worker_process.BETWEEN.join("" if region is None else str(region) for region in regions).encode()
        request = worker_process.REQUEST.pack(
            len(texts),
            len(data),
            header.format.encode(),
            header.width * header.height,
            header.scale,
            self._size,
            *self._pad_colour,
        )
        worker = self._idle.get()
        try:
            if self._closed:
                raise ImageWorkerError("the image decoder is closed")
            answers = worker.ask((request, texts, data), len(regions), 3 * self._size * self._size)
        finally:
            self._idle.put(worker)
        return [one if isinstance(one, ImageError) else self._picture(one) for one in answers]

    def _picture(self, pixels: bytes) -> Image.Image:
        return Image.frombytes("RGB", (self._size, self._size), pixels)

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

    def ask(self, request: Sequence[bytes], parts: int, length: int) -> list[bytes | ImageError]:
        """Each part's pixels, or why there are none; at least the first one's."""
        try:
            return self._ready().ask(request, parts, length)
        except _NotAccepted:  # it died while idle
            return self._ready().ask(request, parts, length)

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

    def ask(self, request: Sequence[bytes], parts: int, length: int) -> list[bytes | ImageError]:
        """Each part's `length` bytes, or why there are none; fewer if the process ends in the middle of one."""
        try:
            deadline = self._deadline()
            self._hand_over(request, deadline)
            return self._answers(parts, length, deadline)
        except TimeoutError:
            self.kill()
            raise ImageWorkerBusy("an image worker was not done in time") from None
        except BaseException:
            self.kill()
            raise

    def _hand_over(self, request: Sequence[bytes], deadline: float) -> None:
        try:
            for part in request:
                self._set_timeout(deadline)
                self._socket.sendall(part)
            accepted = self._receive(1, deadline)
        except (EOFError, ConnectionError) as error:
            raise _NotAccepted("an image worker ended before it was given a picture") from error
        if accepted != worker_process.ACCEPTED:
            raise _NotAccepted("an image worker broke the protocol")

    def _answers(self, parts: int, length: int, deadline: float) -> list[bytes | ImageError]:
        decoded = self._reply(worker_process.SIZE.size, deadline, invalid)
        if isinstance(decoded, ImageError):
            return [decoded.again() for _ in range(parts)]
        outside = partial(region_outside, *worker_process.SIZE.unpack(decoded))
        answers: list[bytes | ImageError] = []
        while len(answers) < parts and (not answers or self._process.poll() is None):
            answers.append(self._reply(length, self._deadline(), outside))
        return answers

    def _reply(self, length: int, deadline: float, outside: Callable[[], ImageError]) -> bytes | ImageError:
        try:
            status = self._receive(1, deadline)
            if status == worker_process.OK:
                return self._receive(length, deadline)
        except (EOFError, ConnectionError):
            self.kill()
            if self._process.returncode == -signal.SIGKILL:
                # a system without memory, or a person: that says nothing of the picture
                raise ImageWorkerBusy("an image worker was ended from outside") from None
            return self._limits.too_slow() if self._process.returncode == -signal.SIGPROF else invalid()
        refusals = {
            worker_process.UNSUPPORTED: self._limits.unsupported,
            worker_process.TOO_MUCH_MEMORY: self._limits.too_much_memory,
            worker_process.OUTSIDE: outside,
            worker_process.INVALID: invalid,
        }
        if status not in refusals:
            self.kill()
        return refusals.get(status, invalid)()

    def _deadline(self) -> float:
        return time.monotonic() + _PATIENCE * self._limits.decode_seconds

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


def _by_scale(header: ImageHeader, regions: Sequence[Region | None]) -> Iterator[tuple[ImageHeader, list[int]]]:
    """How to decode a picture, and the numbers of the regions for which it is so decoded."""
    numbers = range(len(regions))
    cut = [number for number in numbers if header.scale > 1 and _is_cut(regions[number])]
    yield header, [number for number in numbers if number not in cut]
    # the square that the encoder takes may need every pixel of a small part
    yield replace(header, scale=1), cut


def _is_cut(region: Region | None) -> bool:
    return region is not None and region.cut is not None


def _command(limits: ImageLimits) -> list[str]:
    # The worker looks for modules where this process does, and not in the current folder as `-m` would.
    path = [_PACKAGES, *sys.path]
    code = (
        f"import sys; sys.path[:] = {path!r}; "
        f"from edgevlm_server.images.decode.worker import serve; "
        f"serve({limits.memory_bytes}, {limits.decode_seconds})"
    )
    return [sys.executable, "-c", code]
