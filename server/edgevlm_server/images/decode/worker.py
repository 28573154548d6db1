"""The process that decodes pictures: it may crash, hang or be killed. Knows Pillow and one socket, no more.

It answers requests on file descriptor 0, one at a time, and ends when that closes. A request is `REQUEST`, the texts
of the parts that are wanted, and the file's bytes. The reply is ACCEPTED as soon as all of it is read, then a status
byte for the file, for OK its `SIZE` when upright, and then for each part a status byte, for OK the RGB bytes of the
square picture. Lengths are fixed by the request and nothing is pickled.
"""

import os
import resource
import signal
import struct
import sys
import warnings
from collections.abc import Callable
from functools import partial

from PIL import Image

from edgevlm_server.images.decode.part import Colour, part_of
from edgevlm_server.images.decode.rgb import UnsupportedMode, decode_rgb, load_heic_reader
from edgevlm_server.images.decode.square import fit_square
from edgevlm_server.images.region import OutsideError, Region

REQUEST = struct.Struct("!HI4sIBI3B")
"""Lengths of the parts' texts and of the file, format, pixels at most, draft scale, size of a square, its colour."""
SIZE = struct.Struct("!II")
READY, ACCEPTED = b"R", b"A"
OK, UNSUPPORTED, TOO_MUCH_MEMORY, INVALID, OUTSIDE = b"0", b"1", b"2", b"3", b"4"
BETWEEN = "\n"
"""Stands between the parts' texts; that of the whole is empty."""

_SOCKET, _STDERR = 0, 2


def serve(memory_bytes: int, seconds: float) -> None:
    """Answers until the other side closes, or until one picture has taken `seconds` of processor time."""
    # sent to the whole group: the parent may still be draining
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    load_heic_reader()
    _confine(memory_bytes)
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    _write(READY)
    os.dup2(os.open(os.devnull, os.O_WRONLY), _STDERR)  # libraries print about damaged pictures
    while header := _read(REQUEST.size):
        texts, length, *request = REQUEST.unpack(header)
        parts = _read(texts).decode().split(BETWEEN)
        data = _read(length)
        _write(ACCEPTED)
        _answer(parts, data, seconds, *request)
        signal.setitimer(signal.ITIMER_PROF, 0)


def _answer(
    parts: list[str],
    data: bytes,
    seconds: float,
    image_format: bytes,
    max_pixels: int,
    scale: int,
    size: int,
    *around: int,
) -> None:
    Image.MAX_IMAGE_PIXELS = max_pixels  # Pillow then warns above it, and the warning is an error
    red, green, blue = around
    signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends the process
    status, image = _tried(lambda: decode_rgb(data, image_format.rstrip(b"\0").decode(), scale))
    _write(status)
    if image is None:
        return
    _write(SIZE.pack(*image.size))
    Image.MAX_IMAGE_PIXELS = None  # a part has bounds of its own, which a turn may need
    for part in parts:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        status, square = _tried(partial(_square, image, part, size, (red, green, blue)))
        _write(status)
        if square is not None:
            _write(square.tobytes())


def _square(image: Image.Image, part: str, size: int, around: Colour) -> Image.Image:
    region = Region.read(part)
    return fit_square(image if region is None else part_of(image, region, around), size, around)


def _tried(work: Callable[[], Image.Image]) -> tuple[bytes, Image.Image | None]:
    try:
        return OK, work()
    except UnsupportedMode:
        return UNSUPPORTED, None
    except OutsideError:
        return OUTSIDE, None
    except MemoryError:
        return TOO_MUCH_MEMORY, None
    except Exception:  # Pillow raises OSError, ValueError, SyntaxError and more for damaged files
        return INVALID, None


def _confine(memory_bytes: int) -> None:
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, 32)
    if sys.platform == "linux":  # elsewhere it cannot be set or is not kept
        _limit(resource.RLIMIT_AS, memory_bytes)


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (value, value))


def _read(length: int) -> bytes:
    """Exactly `length` bytes, or none when the other side has closed."""
    received = bytearray()
    while len(received) < length:
        block = os.read(_SOCKET, length - len(received))
        if not block:
            return b""
        received += block
    return bytes(received)


def _write(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(_SOCKET, rest) :]
