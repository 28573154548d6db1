"""Keys and values of prompts that were computed before, so that a beginning they share is computed once.

A prompt is computed in chunks that begin at multiples of the engine's chunk size, whatever is known of it already.
Whole chunks are what is kept, so a copied one holds the very bits that computing it would give. Its name is a SHA-256
over all that stands up to its end, tokens and pictures' files: never over an id that a sender chose. Answers are not
kept, because decoding may round differently; as part of a later prompt they are. Owned by the engine's thread.
"""

import hashlib
import logging
from collections import OrderedDict, abc
from itertools import takewhile

import numpy as np
from edgevlm_engines import IMAGE_TOKEN, Engine, Segment, Tokens

from edgevlm_server.runtime.sequence import Sequence

log = logging.getLogger(__name__)


class PrefixCache:
    """Bounded by `max_bytes`, least recently used out first; 0 keeps nothing.

    A chunk is used whenever one behind it is, and a little later: so the oldest has none behind it any more.
    """

    def __init__(self, engine: Engine, max_bytes: int) -> None:
        self._engine = engine
        self._size = engine.info.max_chunk
        self._most = max_bytes // (self._size * engine.info.position_bytes)
        self._chunks: OrderedDict[bytes, Segment] = OrderedDict()  # in the order of use

    def restore(self, sequence: Sequence) -> int:
        """Copy what is known of a sequence's prompt into its slot; the number of positions, which need no prefill."""
        # something must be left to compute the next token from
        names = self._names(sequence)[: (len(sequence.prompt) - 1) // self._size]
        known = list(takewhile(self._chunks.__contains__, names))
        for name in known:
            segment = self._chunks[name]
            self._engine.restore(sequence.slot, segment, segment.length)
        self._use(known)
        return len(known) * self._size

    def keep(self, sequence: Sequence) -> None:
        """Copy what is not yet known of a prompt that has just been computed."""
        names = self._names(sequence)[: self._most]
        self._use([name for name in names if name in self._chunks])
        for index, name in enumerate(names):
            if name in self._chunks:
                continue
            if len(self._chunks) == self._most:
                self._chunks.popitem(last=False)[1].free()
            try:
                start = index * self._size
                self._chunks[name] = self._engine.save(sequence.slot, start, start + self._size)
            except MemoryError:
                log.warning("There is no memory left for prompts that were computed before.")
                names = names[:index]
                break
        self._use(names)

    def clear(self) -> None:
        """Give all memory back."""
        while self._chunks:
            self._chunks.popitem()[1].free()

    def _use(self, names: abc.Sequence[bytes]) -> None:
        for name in reversed(names):
            self._chunks.move_to_end(name)

    def _names(self, sequence: Sequence) -> list[bytes]:
        """One name for each whole chunk of the prompt."""
        if not self._most:
            return []
        return chunk_names(sequence.prompt, sequence.images, self._engine.info.image_tokens, self._size)


def chunk_names(prompt: Tokens, images: abc.Sequence[str], image_tokens: int, size: int) -> list[bytes]:
    """Names of a prompt's whole chunks of `size` positions; `images` are the SHA-256 of its files in hexadecimal.

    An image takes `image_tokens` positions, all of them marked alike; what it shows is named where it begins. Raises
    `ValueError` unless there is a file for each.
    """
    begins = np.flatnonzero(prompt == IMAGE_TOKEN)[::image_tokens].tolist()
    files = dict(zip(begins, map(bytes.fromhex, images), strict=True))
    chain = hashlib.sha256()
    names = []
    for start in range(0, len(prompt) - size + 1, size):
        chain.update(prompt[start : start + size].tobytes())
        for begin in begins:
            if start <= begin < start + size:
                chain.update(files[begin])
        names.append(chain.digest())
    return names
