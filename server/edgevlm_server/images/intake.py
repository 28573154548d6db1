"""A picture as a client gives it to the pixels that the vision encoder takes. No HTTP, model or cache."""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np
from edgevlm_engines import Preprocessing
from numpy.typing import NDArray

from edgevlm_server.images.decode.decoder import ImageDecoder
from edgevlm_server.images.decode.preprocess import normalise
from edgevlm_server.images.decode.square import Square
from edgevlm_server.images.formats.limits import ImageError, ImageLimits, not_a_data_url, remote_disabled
from edgevlm_server.images.region import Region

_WHITESPACE = b" \t\r\n\f\v"
_WHITESPACE_TEXT = _WHITESPACE.decode()  # what Python strips by itself is more, some control characters included
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_PERCENT = ("%2B+", "%2b+", "%2F/", "%2f/", "%3D=", "%3d=", "%0A\n", "%0a\n", "%0D\r", "%0d\r", "%20 ")
"""What base64 may hold beside letters and digits, as an escape of three characters and what it stands for."""
_DATA_HEADER = 1024  # characters before the comma: a media type and its parameters
_DATA_START = re.compile(rf"data(?::([^,]{{0,{_DATA_HEADER}}}),|%3a([^,]{{0,{_DATA_HEADER}}}?)%2c)", re.IGNORECASE)


class ImageFile(NamedTuple):
    """A picture as it was sent, and the hex digest of its bytes, by which it is known again."""

    data: bytes
    sha256: str


class ImageIntake:
    """Every way a picture comes in. Blocking and thread-safe: an async caller runs these in a thread.

    ImageError is raised for a picture that is refused, ImageWorkerError when no worker process can be started,
    which is the server's fault.
    """

    def __init__(self, limits: ImageLimits, spec: Preprocessing, workers: int = 2) -> None:
        self._limits = limits
        self._spec = spec
        self._decoder = ImageDecoder(limits, spec.size, spec.pad_colour, workers)

    def read(self, image_url: str) -> ImageFile:
        """The file in the text of an `image_url`; what it holds is not looked at yet."""
        return image_file(image_bytes(image_url, self._limits))

    def squares(self, data: bytes, regions: Sequence[Region | None]) -> list[Square | ImageError]:
        """Parts of the picture in a file's bytes, decoded and fitted: RGB, S x S pixels; or why there is none."""
        return self._decoder.parts(data, regions)

    def normalised(self, square: Square) -> NDArray[np.float32]:
        """One of those as the vision encoder takes it: float32 [3, S, S]."""
        return normalise(square, self._spec)

    def pixels(self, data: bytes, region: Region | None = None) -> NDArray[np.float32]:
        """The picture in a file's bytes, or a part of it, decoded and preprocessed: float32 [3, S, S]."""
        return self.normalised(self._decoder.decode(data, region))

    def pixels_of_file(self, path: Path, region: Region | None = None) -> NDArray[np.float32]:
        """The same for a file on disk, under the same limits. Raises OSError when it cannot be read."""
        with path.open("rb") as file:
            return self.pixels(file.read(self._limits.max_bytes + 1), region)

    def close(self) -> None:
        """Ends the worker processes, after the pictures under way (at most `decode_seconds`)."""
        self._decoder.close()

    def __enter__(self) -> "ImageIntake":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def image_file(data: bytes) -> ImageFile:
    """A file with its digest. Takes a few milliseconds for the largest."""
    return ImageFile(data, hashlib.sha256(data).hexdigest())


def remote_address(image_url: str) -> str | None:
    """The text without white space around it, if it is the address of a picture and not the picture."""
    if not image_url[:64].lstrip(_WHITESPACE_TEXT)[:8].lower().startswith(("http://", "https://")):
        return None
    return image_url.strip(_WHITESPACE_TEXT)


def image_bytes(image_url: str, limits: ImageLimits) -> bytes:
    """The bytes in a data URL or in base64 alone; what they are is for the header check to say.

    Forgiving where tools differ: any case, parameters, no or a wrong media type, line breaks, the URL-safe
    alphabet, no padding, percent signs as in a URL, for all of it too. Raises ImageError for everything else, remote
    addresses and more than `max_bytes`.
    """
    if len(image_url) > 2 * limits.max_bytes + _DATA_HEADER:  # bounds the copies below; 4/3 and line breaks fit
        raise limits.too_many_bytes()
    if remote_address(image_url) is not None:
        raise remote_disabled()
    encoded = _without_escapes(_encoded_part(image_url.strip(_WHITESPACE_TEXT)))
    try:
        compact = encoded.encode("ascii").translate(_URL_SAFE, _WHITESPACE).rstrip(b"=")
    except UnicodeEncodeError:
        raise not_a_data_url() from None
    if not compact:
        raise not_a_data_url()
    if len(compact) * 3 // 4 > limits.max_bytes:
        raise limits.too_many_bytes()
    try:
        return base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
    except binascii.Error:
        raise not_a_data_url() from None


def _encoded_part(image_url: str) -> str:
    if not image_url[:7].lower().startswith(("data:", "data%3a")):
        return image_url
    start = _DATA_START.match(image_url)
    parameters = unquote(start[1] or start[2] or "").lower().split(";")[1:] if start else ()
    if start is None or "base64" not in (parameter.strip() for parameter in parameters):
        raise not_a_data_url()
    return image_url[start.end() :]


def _without_escapes(encoded: str) -> str:
    if "%" in encoded:
        for escape in _PERCENT:
            encoded = encoded.replace(escape[:3], escape[3:])
    return encoded
