"""Token ids become text as they come: whole characters only, cut at a stop string. Knows no HTTP and no model."""

import codecs
from collections.abc import Sequence

from edgevlm_server.text.tokenizer import Tokenizer


class Detokenizer:
    """The text of one answer.

    Bytes are held back until a UTF-8 character is complete, and characters that may yet become a stop string until
    it is decided. What `push` and `finish` return, joined, is the whole answer, without a stop string and what
    follows it. White space in front of the first character is left out unless `keep_space`: the template's
    `ASSISTANT:` is followed by a space that belongs to the answer's first token. What the first `min_tokens` tokens
    write is no stop string.
    """

    def __init__(
        self, tokenizer: Tokenizer, stop: Sequence[str] = (), min_tokens: int = 0, *, keep_space: bool = False
    ) -> None:
        self._tokenizer = tokenizer
        self._wanted_stop = tuple(stop)
        self._stop = self._wanted_stop if min_tokens == 0 else ()
        self._tokens_left = min_tokens
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""
        self.begun = keep_space
        """The answer's first character was read."""
        self.stopped: str | None = None
        """The stop string that ended the answer."""
        self.shown = 0
        """Characters that were returned."""

    @property
    def read(self) -> int:
        """Characters that the tokens so far stand for; those beyond `shown` are held back."""
        return self.shown + len(self._held)

    @property
    def between(self) -> bool:
        """No character is read in part."""
        return not self._decoder.getstate()[0]

    def push(self, token: int) -> str:
        """Take one token; return the text that is certain now, often empty."""
        text = self._take(self._decoder.decode(self._tokenizer.bytes_of(token)))
        self._tokens_left -= 1
        if self._tokens_left == 0:
            self._stop = self._wanted_stop
        return text

    def finish(self) -> str:
        """No token follows: return what was held back. An incomplete character becomes U+FFFD."""
        if self.stopped is not None:
            return ""
        text = self._take(self._decoder.decode(b"", final=True))
        if self.stopped is None:
            self.shown += len(self._held)
            text, self._held = text + self._held, ""
        return text

    def _take(self, text: str) -> str:
        if self.stopped is not None:
            return ""
        if not self.begun:
            text = text.lstrip()
            self.begun = bool(text)
        self._held += text
        cut = self._find_stop()
        if cut is None:
            cut = len(self._held) - self._undecided()
        out, self._held = self._held[:cut], self._held[cut:]
        self.shown += len(out)
        return out

    def _find_stop(self) -> int | None:
        found = [(at, stop) for stop in self._stop if (at := self._held.find(stop)) >= 0]
        if not found:
            return None
        # of two stop strings that begin at the same place the first one asked for is named
        at, self.stopped = min(found, key=lambda pair: pair[0])
        return at

    def _undecided(self) -> int:
        """Length of the longest tail that is the beginning of a stop string."""
        longest = 0
        for stop in self._stop:
            for length in range(min(len(stop) - 1, len(self._held)), longest, -1):
                if self._held.endswith(stop[:length]):
                    longest = length
                    break
        return longest
