"""A decoder for the tests, and what can be seen of its processes from outside (Linux)."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edgevlm_server.images.decode.decoder import ImageDecoder
from edgevlm_server.images.formats.limits import ImageError, ImageLimits

from tests.processes import children
from tests.server.images.image_files import encode, plain

SIZE, PAD = 32, (122, 116, 104)
TEAL = (10, 130, 140)
GOOD = encode(plain(TEAL, (64, 64)), "PNG")


@contextlib.contextmanager
def decoder(workers: int = 1, limits: ImageLimits | None = None) -> Iterator[ImageDecoder]:
    """A decoder; afterwards none of its processes and descriptors may be left."""
    descriptors = len(os.listdir("/proc/self/fd"))
    before = children()
    with ImageDecoder(limits or ImageLimits(), SIZE, PAD, workers) as made:
        yield made
    assert children() <= before
    assert len(os.listdir("/proc/self/fd")) <= descriptors


def workers() -> list[int]:
    """Decode workers of this process that are alive."""
    return sorted(child for child in children() if running(child) and b"images.decode.worker" in _command(child))


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def assert_right(made: ImageDecoder) -> None:
    image = made.decode(GOOD)
    assert image.mode == "RGB" and image.size == (SIZE, SIZE)
    assert image.getcolors() == [(SIZE * SIZE, TEAL)]


def refusal(made: ImageDecoder, data: bytes) -> ImageError:
    with pytest.raises(ImageError) as caught:
        made.decode(data)
    return caught.value


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s"
        time.sleep(0.01)


def running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
