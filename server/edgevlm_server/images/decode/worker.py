"""The process that decodes pictures: it may crash, hang or be killed. Knows Pillow and one socket, no more.

It answers requests on file descriptor 0, one at a time, and ends when that closes. A request is `REQUEST` and
the file's bytes. The reply is ACCEPTED as soon as all of it is read, then a status byte, then for OK the RGB
bytes of the square picture. Lengths are fixed by the request and nothing is pickled.
"""

import os
import resource
import signal
import struct
import sys
import warnings

from PIL import Image

from edgevlm_server.images.decode.rgb import UnsupportedMode, decode_rgb, load_heic_reader
from edgevlm_server.images.decode.square import fit_square

REQUEST = struct.Struct("!I4sIBI3B")  # length, format, pixels at most, draft scale, size of the square, its colour
READY, ACCEPTED = b"R", b"A"
OK, UNSUPPORTED, TOO_MUCH_MEMORY, INVALID = b"0", b"1", b"2", b"3"
STATUSES = (OK, UNSUPPORTED, TOO_MUCH_MEMORY, INVALID)

_SOCKET, _STDERR = 0, 2


def serve(memory_bytes: int, seconds: float) -> None:
    """Answers until the other side closes, or until one picture has taken `seconds` of processor time."""
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # sent to the whole group: the parent may still be draining
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    load_heic_reader()
    _confine(memory_bytes)
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    _write(READY)
    os.dup2(os.open(os.devnull, os.O_WRONLY), _STDERR)  # libraries print about damaged pictures
    while header := _read(REQUEST.size):
        length, *request = REQUEST.unpack(header)
        data = _read(length)
        _write(ACCEPTED)
        signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends the process
        status, pixels = _answer(data, *request)
        signal.setitimer(signal.ITIMER_PROF, 0)
        _write(status + pixels)


def _answer(
    data: bytes, image_format: bytes, max_pixels: int, scale: int, size: int, *pad_colour: int
) -> tuple[bytes, bytes]:
    Image.MAX_IMAGE_PIXELS = max_pixels  # Pillow then warns above it, and the warning is an error
    red, green, blue = pad_colour
    try:
        image = decode_rgb(data, image_format.rstrip(b"\0").decode(), scale)
        return OK, fit_square(image, size, (red, green, blue)).tobytes()
    except UnsupportedMode:
        return UNSUPPORTED, b""
    except MemoryError:
        return TOO_MUCH_MEMORY, b""
    except Exception:  # Pillow raises OSError, ValueError, SyntaxError and more for damaged files
        return INVALID, b""


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
