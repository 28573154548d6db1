"""JSON that ends with its own digest, so that a changed byte shows before anything is parsed. Knows no fields.

The last field, `sha256`, vouches for every byte in front of it, and its own bytes can be written in one way only. So
not one bit of the text can differ.
"""

import hashlib
import re

_BEGIN, _END = b',\n  "sha256": "', b'"\n}\n'
_DIGEST = re.compile(rb"[0-9a-f]{64}")
_LENGTH = len(_BEGIN) + 64 + len(_END)


class SealError(ValueError):
    """Says what is wrong, as the end of a sentence that begins with the file's name."""


class SealMissing(SealError):
    """There is no digest at the end."""


def sealed(text: str) -> bytes:
    """An object with at least one field, given as JSON, with its digest."""
    body = text.rstrip().removesuffix("}").rstrip().encode()
    return body + _BEGIN + _digest(body) + _END


def unsealed(text: bytes) -> bytes:
    """The object without its digest. Raises `SealError`."""
    body, seal = text[:-_LENGTH], text[-_LENGTH:]
    stated = seal.removeprefix(_BEGIN).removesuffix(_END)
    if seal != _BEGIN + stated + _END or not _DIGEST.fullmatch(stated):
        raise SealMissing("does not end with its own digest")
    if (actual := _digest(body)) != stated:
        raise SealError(f"is damaged: its SHA-256 is {actual.decode()}, and it says {stated.decode()}")
    return body + b"\n}\n"


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
