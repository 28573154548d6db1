"""An answer token by token: which characters of its text each token wrote. Knows texts and tokens, no HTTP.

Joined, the tokens are the text. White space in front of an answer, what a stop text cuts off and tokens without a
text of their own are left out; a character that takes several tokens belongs to the last of them.
"""

from typing import NamedTuple

from edgevlm_server.runtime.logprobs import Logprobs
from edgevlm_server.text.detokenizer import Detokenizer
from edgevlm_server.text.tokenizer import Tokenizer


class Written(NamedTuple):
    """A token, and the text and bytes that it added to the answer."""

    text: str
    data: bytes
    logprobs: Logprobs
    first: bool
    """It begins the answer: white space in front was left out."""


class _Waiting(NamedTuple):
    """A token whose characters, from `begin` to `end` of the answer, are not all certain yet."""

    token: int
    begin: int
    end: int
    first: bool
    whole: bool
    """No character of it goes on in the next token."""
    logprobs: Logprobs


class TokenTexts:
    """Text as `Detokenizer` gives it, but cut where tokens end."""

    def __init__(self, tokenizer: Tokenizer, text: Detokenizer) -> None:
        self._tokenizer = tokenizer
        self._text = text
        self._held = ""
        """Text that is certain, of tokens that wait."""
        self._given = 0
        self._waiting: list[_Waiting] = []

    def push(self, token: int, logprobs: Logprobs) -> tuple[str, tuple[Written, ...]]:
        """Take one token; return the text that is certain now, and the tokens that wrote it."""
        begin, first = self._text.read, not self._text.begun
        self._held += self._text.push(token)
        if self._tokenizer.bytes_of(token):
            whole = self._text.between
            self._waiting.append(_Waiting(token, begin, self._text.read, first, whole, logprobs))
        if self._text.between and not self._text.begun:
            self._waiting.clear()
        ready = [i for i, one in enumerate(self._waiting, 1) if one.whole and one.end <= self._text.shown]
        return self._give(max(ready, default=0))

    def finish(self) -> tuple[str, tuple[Written, ...]]:
        """No token follows: return what was held back."""
        self._held += self._text.finish()
        self._waiting = [one for one in self._waiting if one.begin < self._text.shown]
        if self._waiting:
            # what was no whole character becomes U+FFFD now
            self._waiting[-1] = self._waiting[-1]._replace(end=self._text.shown)
        return self._give(len(self._waiting))

    def _give(self, count: int) -> tuple[str, tuple[Written, ...]]:
        written = tuple(self._written(one) for one in self._waiting[:count])
        del self._waiting[:count]
        return "".join(one.text for one in written), written

    def _written(self, one: _Waiting) -> Written:
        size = one.end - self._given
        text, self._held = self._held[:size], self._held[size:]
        self._given += len(text)
        whole, part = self._tokenizer.bytes_of(one.token), text.encode()
        return Written(text, part if part and part in whole else whole, one.logprobs, one.first)


def alternative(tokenizer: Tokenizer, token: int, *, first: bool) -> tuple[str, bytes]:
    """Text and bytes of a token that might have stood there; where the answer begins, without the space in front."""
    text, data = tokenizer.shown(token), tokenizer.bytes_of(token)
    return (text.lstrip(" ") or text, data.lstrip(b" ") or data) if first else (text, data)
