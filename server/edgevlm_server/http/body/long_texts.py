"""The long texts of a JSON body, read one by one. Knows where JSON's texts begin and end, and nothing of requests.

Python keeps every character of a text as wide as its widest: one emoji in ten megabytes of ASCII makes forty. So each
long text is cut out of the body while that is bytes, and becomes a text of its own, in which pictures stay narrow.
What is wide and longer than any text of a request may be is not kept at all.
"""

import json
import re

from edgevlm_server.errors import InvalidRequest
from edgevlm_server.request import MAX_TEXT

LONG = 4096
"""Bytes between its quotes from which a text is cut out; no name in an object is as long."""
MAX_WIDE = 4 * MAX_TEXT
"""Characters of all texts together that are long and not ASCII; no request that is served has so many."""

MOST_OF_A_TEXT = 12 * MAX_TEXT
"""Bytes that no text of a request has, even with an escape, or two, for each character."""

TOO_LONG = "\ufffd" * (MAX_TEXT + 1)
"""Stands for a text that is not kept: too long for every field that is a text, and no picture's address."""

_MARK = b"NaN"
"""Stands where a text was cut out. Nothing that is JSON has it, and the parser asks what it means."""
_BACKSLASH = ord("\\")
_NOT_ASCII = re.compile(rb"\\u(?!00[0-7])")
"""An escape for what base64 has not."""
_BEHIND_A_NAME = re.compile(rb"[ \t\r\n]*:")


class LongTexts:
    """A body without its long texts (`rest`), and the texts, which `next` gives in their order.

    Raises `ValueError` for a text that does not end or is no JSON, `UnicodeDecodeError`, which is one, for what is
    not UTF-8, and `InvalidRequest` for a long name in an object or a text that is too long for every field.
    """

    def __init__(self, body: bytes | bytearray) -> None:
        self.rest = bytearray()
        self._texts: list[str] = []
        self._room = MAX_WIDE
        copied = end = 0
        with memoryview(body) as view:
            while (begin := body.find(b'"', end)) >= 0:
                end = _end(body, begin)
                if end - begin >= LONG + 2:
                    if _BEHIND_A_NAME.match(body, end):
                        raise InvalidRequest("A name in the body is too long.", code="invalid_value")
                    self.rest += view[copied:begin]
                    self.rest += _MARK
                    self._texts.append(self._kept(_read(body, view, begin, end)))
                    copied = end
            self.rest += view[copied:]
        self._left = iter(self._texts)

    def next(self, constant: str) -> str:
        """What a mark stands for. Raises `ValueError` for a constant that the client wrote: JSON has none."""
        # one of the client's makes more marks than there are texts
        text = next(self._left, None)
        if text is None or constant != "NaN":
            raise ValueError(constant)
        return text

    def _kept(self, text: str) -> str:
        if text.isascii():
            return text
        self._room -= len(text)
        return text if len(text) <= MAX_TEXT and self._room >= 0 else TOO_LONG


def _end(body: bytes | bytearray, begin: int) -> int:
    """Just behind the quote that ends the text that begins with the quote at `begin`."""
    quote = begin
    while (quote := body.find(b'"', quote + 1)) >= 0:
        escapes = quote
        while body[escapes - 1] == _BACKSLASH:
            escapes -= 1
        if (quote - escapes) % 2 == 0:
            return quote + 1
    raise ValueError("a text does not end")


def _read(body: bytes | bytearray, view: memoryview, begin: int, end: int) -> str:
    """The text from its first quote to behind its last, never more than a few copies of its bytes at once."""
    if end - begin <= MOST_OF_A_TEXT:
        text: str = json.loads(str(view[begin:end], "utf-8"))
        return text
    try:
        if not _NOT_ASCII.search(body, begin, end):
            text = json.loads(str(view[begin:end], "ascii"))
            return text
    except UnicodeDecodeError:
        pass
    raise InvalidRequest(f"A text in the body has more than {MAX_TEXT} characters.", code="invalid_value")
